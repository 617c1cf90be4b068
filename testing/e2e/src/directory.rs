//! Directories that vanish with the test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use crate::Outcome;

/// A fresh directory, removed when it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Makes one among the temporary files of the system.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(name: &str) -> Outcome<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("esp-e2e-{}-{count}-{name}", process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Directory { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first file in it, or in a directory in it, whose name ends in `ending`.
    pub fn find(&self, ending: &str) -> Option<PathBuf> {
        find(&self.path, ending)
    }
}

fn find(directory: &Path, ending: &str) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        if path.is_dir() {
            find(&path, ending)
        } else {
            path.to_string_lossy().ends_with(ending).then_some(path)
        }
    })
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A browser may still be writing its last files; what stays is in the temporary directory.
        let _ = fs::remove_dir_all(&self.path);
    }
}
