//! Writing what is received to files that can be played whenever writing ends.

mod mp4;
mod wav;

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Error;

pub(crate) use mp4::Mp4Recorder;
pub(crate) use wav::WavRecorder;

/// How many names are tried when files are there already.
const MAX_NAMES: u32 = 10_000;

/// Where recordings go and how they are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    dir: PathBuf,
    stem: String,
}

impl Recording {
    /// Recordings in the directory `dir`, which is made when it is missing, named after `stem` (a date,
    /// a time and a peer, say) with `.wav` and `.mp4`.
    ///
    /// Characters of `stem` other than ASCII letters, digits, `-`, `_` and `.` become `_`, and it is
    /// cut at 100. A file that is there is never overwritten: `-2`, `-3` and so on are appended.
    pub fn new(dir: impl Into<PathBuf>, stem: &str) -> Result<Self, Error> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir).map_err(|e| Error::from(e).in_file(&dir))?;
        let flat = |c: char| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        };
        let stem: String = stem.chars().map(flat).take(100).collect();
        let stem = match stem.trim_start_matches('.') {
            "" => "recording".to_owned(),
            stem => stem.to_owned(),
        };
        Ok(Recording { dir, stem })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a new file.
    pub(crate) fn create(&self, extension: &str) -> Result<(File, PathBuf), Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        for number in 1..=MAX_NAMES {
            let name = match number {
                1 => format!("{}.{extension}", self.stem),
                _ => format!("{}-{number}.{extension}", self.stem),
            };
            let path = self.dir.join(name);
            match options.open(&path) {
                Ok(file) => return Ok((file, path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::from(error).in_file(&path)),
            }
        }
        Err(Error::misuse(format!(
            "{} holds too many recordings named {}",
            self.dir.display(),
            self.stem
        )))
    }
}
