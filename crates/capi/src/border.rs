//! What crosses from C and back: codes, pointers, panics.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use esp_peer::Error;

/// What a function returns when it worked.
pub(crate) const NONE: c_int = 0;

/// Why a call is refused: the code and the words.
pub(crate) type Outcome<T = ()> = Result<T, Error>;

pub(crate) fn invalid<T>(what: &str) -> Outcome<T> {
    Err(Error::InvalidArgument(what.to_owned()))
}

/// Runs a call; `None` when it panicked, which was written to the log.
pub(crate) fn run(name: &str, work: impl FnOnce() -> Outcome) -> Option<c_int> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => Some(code(name, outcome)),
        Err(_) => {
            // What writes the log may be what panicked.
            let _ = catch_unwind(|| tracing::error!("{name}: a defect of the library"));
            None
        }
    }
}

/// As [`run`]; a panic is a failure like any other.
pub(crate) fn guard(name: &str, work: impl FnOnce() -> Outcome) -> c_int {
    run(name, work).unwrap_or(Error::Failed(String::new()).code())
}

/// As [`guard`], for a call whose code comes from elsewhere.
pub(crate) fn answer(name: &str, work: impl FnOnce() -> Outcome<c_int>) -> c_int {
    let mut answer = NONE;
    let refused = guard(name, || {
        answer = work()?;
        Ok(())
    });
    match refused {
        NONE => answer,
        code => code,
    }
}

fn code(name: &str, outcome: Outcome) -> c_int {
    let Err(error) = outcome else {
        return NONE;
    };
    match error {
        // Said again and again by programs that send whatever the state is.
        Error::WouldBlock => tracing::trace!("{name}: {error}"),
        Error::WrongState(_) | Error::NotSupported(_) | Error::NotExists(_) => {
            tracing::debug!("{name}: {error}");
        }
        _ => tracing::warn!("{name}: {error}"),
    }
    error.code()
}

/// What a function of the program's own answered.
pub(crate) fn answered(code: c_int) -> Outcome {
    Err(match code {
        NONE => return Ok(()),
        -1 => Error::InvalidArgument("the program's implementation says so".into()),
        -2 => Error::NoMemory("the program's implementation says so"),
        -3 => Error::WrongState("the program's implementation says so"),
        -4 => Error::NotSupported("the program's implementation says so"),
        -5 => Error::NotExists("the program's implementation says so"),
        -7 => Error::OverLimit("the program's implementation says so"),
        -8 => Error::BadData("the program's implementation says so".into()),
        -9 => Error::WouldBlock,
        code => Error::Failed(format!("the program's implementation answered {code}")),
    })
}

/// The place for a handle, which is NULL from now on.
///
/// # Safety
/// The pointer is NULL, or shows a place for a pointer.
pub(crate) unsafe fn place(place: *mut *mut c_void) -> Outcome {
    if place.is_null() || !place.is_aligned() {
        return invalid("no place for the handle");
    }
    // SAFETY: it is not NULL and aligned; the caller vouches for the rest.
    unsafe { place.write(ptr::null_mut()) };
    Ok(())
}

/// Text of a message that the program gave.
///
/// # Safety
/// As for [`bytes`].
pub(crate) unsafe fn message<'a>(data: *const u8, size: c_int) -> Outcome<&'a str> {
    // SAFETY: the caller vouches for the bytes.
    utf8(unsafe { bytes(data, size, "the bytes of a message") }?)
}

/// The text of a message; programs that count the zero at its end are met as well as those that do not.
pub(crate) fn utf8(data: &[u8]) -> Outcome<&str> {
    let until = data.iter().position(|byte| *byte == 0);
    match std::str::from_utf8(&data[..until.unwrap_or(data.len())]) {
        Ok(text) => Ok(text),
        Err(_) => invalid("a message that is not UTF-8"),
    }
}

/// A text with a zero behind it, as C wants to read it; what follows a zero of its own is lost to C.
pub(crate) fn with_zero(text: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(text.len() + 1);
    data.extend_from_slice(text);
    data.push(0);
    data
}

/// A number of bytes for C.
pub(crate) fn size(len: usize) -> c_int {
    c_int::try_from(len).unwrap_or(c_int::MAX)
}

/// Copies what a pointer shows.
///
/// # Safety
/// The pointer is NULL, or shows a `T` that nobody writes to meanwhile.
pub(crate) unsafe fn read<T: Copy>(pointer: *const T, what: &str) -> Outcome<T> {
    if pointer.is_null() || !pointer.is_aligned() {
        return invalid(what);
    }
    // SAFETY: it is not NULL and aligned; the caller vouches for the rest.
    Ok(unsafe { pointer.read() })
}

/// The bytes that a pointer and a size show.
///
/// # Safety
/// The pointer is NULL, or shows as many bytes, that nobody writes to during `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const u8, size: c_int, what: &str) -> Outcome<&'a [u8]> {
    let Ok(size) = usize::try_from(size) else {
        return invalid(what);
    };
    if size == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return invalid(what);
    }
    // SAFETY: it is not NULL; the caller vouches for the bytes; an `int` of them is below `isize::MAX`.
    Ok(unsafe { std::slice::from_raw_parts(data, size) })
}

/// A copy of a text; `None` for NULL.
///
/// # Safety
/// The pointer is NULL, or shows a text that ends with a zero and that nobody writes to meanwhile.
pub(crate) unsafe fn text(pointer: *const c_char, what: &str) -> Outcome<Option<String>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: it is not NULL; the caller vouches for the zero.
    let text = unsafe { CStr::from_ptr(pointer) };
    match text.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => invalid(what),
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_refused() {
        let numbers = [1_u32, 2];
        let data = numbers.as_ptr().cast();
        let crooked = numbers.as_ptr().wrapping_byte_add(1);
        // SAFETY: NULL, or a pointer into `numbers`, which nobody writes to.
        let number = |pointer| unsafe { read::<u32>(pointer, "it") };
        // SAFETY: as above.
        let some = |data, size| unsafe { bytes(data, size, "it") }.map(<[u8]>::len);
        // SAFETY: NULL, or a text that lives as long as the program.
        let words = |pointer| unsafe { text(pointer, "it") };
        assert_eq!(number(numbers.as_ptr()), Ok(1));
        assert_eq!(number(ptr::null()), invalid("it"));
        assert_eq!(number(crooked), invalid("it"));
        assert_eq!(some(data, 8), Ok(8));
        assert_eq!(some(data, -1), invalid("it"));
        assert_eq!(some(ptr::null(), 1), invalid("it"));
        assert_eq!(some(ptr::null(), 0), Ok(0));
        assert_eq!(words(ptr::null()), Ok(None));
        assert_eq!(words(c"abc".as_ptr()), Ok(Some("abc".into())));
        assert_eq!(words(c"\xff".as_ptr()), invalid("it"));
    }

    #[test]
    fn a_panic_is_a_failure() {
        assert_eq!(guard("test", || Ok(())), 0);
        assert_eq!(guard("test", || Err(Error::WouldBlock)), -9);
        assert_eq!(guard("test", || panic!("on purpose")), -6);
    }
}
