//! Error causes of ERROR and ABORT (RFC 9260 §3.3.7, §3.3.10).

use super::{Parameters, encode, kind, put_parameter};

/// Cause codes.
pub(crate) mod cause {
    pub(crate) const INVALID_STREAM: u16 = 1;
    pub(crate) const MISSING_PARAMETER: u16 = 2;
    pub(crate) const STALE_COOKIE: u16 = 3;
    pub(crate) const OUT_OF_RESOURCE: u16 = 4;
    pub(crate) const UNRESOLVABLE_ADDRESS: u16 = 5;
    pub(crate) const UNRECOGNIZED_CHUNK: u16 = 6;
    pub(crate) const INVALID_PARAMETER: u16 = 7;
    pub(crate) const NO_USER_DATA: u16 = 9;
    pub(crate) const COOKIE_WHILE_SHUTTING_DOWN: u16 = 10;
    pub(crate) const USER_ABORT: u16 = 12;
    pub(crate) const PROTOCOL_VIOLATION: u16 = 13;
}

/// The T bit of ABORT and SHUTDOWN COMPLETE: the tag is the receiver's own, reflected.
pub(crate) const REFLECTED: u8 = 1;

/// An ERROR chunk with one cause.
pub(crate) fn error(cause: u16, value: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_parameter(&mut body, cause, value);
    encode(kind::ERROR, 0, &body)
}

/// An ABORT chunk with at most one cause.
pub(crate) fn abort(flags: u8, cause: Option<(u16, &[u8])>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some((cause, value)) = cause {
        put_parameter(&mut body, cause, value);
    }
    encode(kind::ABORT, flags, &body)
}

/// The first cause of an ABORT or ERROR: code and at most 128 bytes of text.
pub(crate) fn first_cause(value: &[u8]) -> (u16, String) {
    match Parameters::new(value).next() {
        Some(Ok(cause)) => {
            let text = &cause.value[..cause.value.len().min(128)];
            (cause.kind, String::from_utf8_lossy(text).into_owned())
        }
        _ => (0, String::new()),
    }
}
