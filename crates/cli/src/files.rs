//! Files of the peer: flat safe names, never overwriting, within a quota, written under a temporary name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file counts at least, so that empty ones do not fill the directory either.
const LEAST: u64 = 4_096;
/// The longest name, in bytes.
const LONGEST: usize = 120;
/// How many names are tried when files are there already.
const TRIES: u32 = 10_000;

/// A directory that takes files.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    quota: u64,
    /// What the files in the directory and those on their way count.
    used: AtomicU64,
    next: AtomicU64,
}

impl Store {
    /// Files in `dir`, which is made when it is missing; all files in it count towards `quota` bytes.
    pub(crate) fn open(dir: &Path, quota: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut used = 0_u64;
        for entry in fs::read_dir(dir)? {
            let about = entry?.metadata()?;
            if about.is_file() {
                used = used.saturating_add(counted(about.len()));
            }
        }
        Ok(Store {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                quota,
                used: AtomicU64::new(used),
                next: AtomicU64::new(0),
            }),
        })
    }

    /// Begins a file of `size` bytes that its sender calls `name`; or says why not.
    pub(crate) fn begin(&self, name: &str, size: u64) -> Result<Incoming, String> {
        let inner = &self.inner;
        let reserved = inner
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(counted(size))
                    .filter(|sum| *sum <= inner.quota)
            });
        if reserved.is_err() {
            return Err("there is no room left for this file".into());
        }
        let mut incoming = Incoming {
            inner: Arc::clone(inner),
            name: flat_name(name),
            size,
            received: 0,
            file: None,
            path: PathBuf::new(),
            kept: false,
        };
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let temporary = format!(".incoming-{}-{number}.part", std::process::id());
        incoming.path = inner.dir.join(temporary);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        match options.open(&incoming.path) {
            Ok(file) => incoming.file = Some(file),
            Err(error) => return Err(could_not(&error)),
        }
        Ok(incoming)
    }
}

/// A file on its way in; dropped before it is kept, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Incoming {
    inner: Arc<Inner>,
    name: String,
    size: u64,
    received: u64,
    file: Option<File>,
    /// The temporary name.
    path: PathBuf,
    kept: bool,
}

impl Incoming {
    /// The name, flat and safe.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether all bytes are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.received == self.size
    }

    /// Takes what comes next; or says why not.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sum = self.received.saturating_add(bytes.len() as u64);
        if sum > self.size {
            return Err("there are more bytes than announced".into());
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes).map_err(|error| could_not(&error))?;
        }
        self.received = sum;
        Ok(())
    }

    /// Gives the file its name, which is none of a file that is there.
    pub(crate) fn keep(mut self) -> Result<PathBuf, String> {
        if let Some(file) = self.file.take() {
            file.sync_all().map_err(|error| could_not(&error))?;
        }
        for number in 1..=TRIES {
            let path = self.inner.dir.join(numbered(&self.name, number));
            // The name is taken first, so that the move replaces nothing of others.
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(could_not(&error)),
            }
            fs::rename(&self.path, &path).map_err(|error| could_not(&error))?;
            self.kept = true;
            return Ok(path);
        }
        Err("there are too many files of this name".into())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        drop(self.file.take());
        let _ = fs::remove_file(&self.path);
        self.inner
            .used
            .fetch_sub(counted(self.size), Ordering::Relaxed);
    }
}

fn counted(size: u64) -> u64 {
    size.max(LEAST)
}

fn could_not(error: &io::Error) -> String {
    format!("it cannot be kept: {}", error.kind())
}

/// The last part of a name without anything that means something to a file system or a terminal.
pub(crate) fn flat_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe = |c: char| match c {
        '-' | '_' | '.' | ' ' | '(' | ')' | '+' | ',' | '@' => c,
        c if c.is_alphanumeric() => c,
        _ => '_',
    };
    let flat: String = last.chars().take(4 * LONGEST).map(safe).collect();
    let flat = flat
        .trim_start_matches(['.', ' ', '-'])
        .trim_end_matches(['.', ' ']);
    let (stem, extension) = split(flat);
    let extension = cut(extension, 20);
    let stem = cut(stem, LONGEST - extension.len()).trim_end_matches(['.', ' ']);
    let device = ["con", "prn", "aux", "nul"]
        .iter()
        .any(|name| stem.eq_ignore_ascii_case(name))
        || (stem.len() == 4
            && stem.is_char_boundary(3)
            && ["com", "lpt"]
                .iter()
                .any(|name| stem[..3].eq_ignore_ascii_case(name))
            && stem.ends_with(|c: char| c.is_ascii_digit()));
    match stem {
        "" => format!("file{extension}"),
        stem if device => format!("_{stem}{extension}"),
        stem => format!("{stem}{extension}"),
    }
}

/// The name before the last dot, and the rest with the dot.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 20 => name.split_at(at),
        _ => (name, ""),
    }
}

fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

fn numbered(name: &str, number: u32) -> String {
    match number {
        1 => name.to_owned(),
        _ => {
            let (stem, extension) = split(name);
            format!("{stem}-{number}{extension}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory for one test, removed after it.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("esp-files-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Dir(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_become_flat_and_safe() {
        for (name, flat) in [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\windows\\system.ini", "system.ini"),
            ("/", "file"),
            ("", "file"),
            ("..", "file"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("a\0b\nc\x1b[2J", "a_b_c__2J"),
            ("Grüße aus Köln.jpg", "Grüße aus Köln.jpg"),
            ("x\u{202e}gpj.exe", "x_gpj.exe"),
            ("con", "_con"),
            ("COM1.txt", "_COM1.txt"),
            ("name. ", "name"),
            ("a:b|c?d*e", "a_b_c_d_e"),
        ] {
            assert_eq!(flat_name(name), flat, "{name:?}");
        }
        let long = flat_name(&format!("{}.tar.gz", "ü".repeat(500)));
        assert!(long.len() <= LONGEST && !long.is_empty(), "{long}");
        assert_eq!(flat_name(&format!("{}.gz", "n".repeat(300))).len(), LONGEST);
    }

    #[test]
    fn files_are_kept_and_never_overwritten() {
        let dir = Dir::new("kept");
        let store = Store::open(&dir.0, 1 << 20).unwrap();
        for expected in ["a.txt", "a-2.txt", "a-3.txt"] {
            let mut incoming = store.begin("x/a.txt", 5).unwrap();
            incoming.write(b"he").unwrap();
            assert!(!incoming.is_whole());
            incoming.write(b"llo").unwrap();
            assert!(incoming.is_whole());
            let path = incoming.keep().unwrap();
            assert_eq!(path, dir.0.join(expected));
            assert_eq!(fs::read(path).unwrap(), b"hello");
        }
        assert_eq!(dir.names(), ["a-2.txt", "a-3.txt", "a.txt"]);
    }

    #[test]
    fn what_is_not_kept_leaves_nothing() {
        let dir = Dir::new("dropped");
        let store = Store::open(&dir.0, 2 * LEAST).unwrap();
        let mut incoming = store.begin("a", 4).unwrap();
        assert!(incoming.write(b"12345").is_err());
        drop(incoming);
        assert_eq!(dir.names(), Vec::<String>::new());
        assert_eq!(store.inner.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_quota_counts_what_is_there_and_what_is_coming() {
        let dir = Dir::new("quota");
        fs::create_dir_all(&dir.0).unwrap();
        fs::write(dir.0.join("old"), vec![0; 10_000]).unwrap();
        let store = Store::open(&dir.0, 20_000).unwrap();
        assert!(store.begin("a", 10_001).is_err());
        assert!(store.begin("a", u64::MAX).is_err());
        let first = store.begin("a", 5_000).unwrap();
        assert!(store.begin("b", 5_001).is_err());
        // Empty files count too.
        let second = store.begin("b", 0).unwrap();
        assert!(store.begin("c", 0).is_err());
        drop((first, second));
        assert!(store.begin("c", 10_000).is_ok());
    }
}
