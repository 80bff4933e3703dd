//! Disks that are full, broken or not there: each is named, nothing is damaged, and what can go on
//! goes on.

mod doctor;
mod full;
mod refusals;
mod station;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::start_once;

/// An installation that was started once.
struct Installation {
    _directory: TempDir,
    data: PathBuf,
}

impl Installation {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("data");
        start_once(data.to_str().unwrap());
        Self {
            _directory: directory,
            data,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    fn text(&self) -> &str {
        self.data.to_str().unwrap()
    }
}

/// Arguments of a server on a free port.
fn serve(data: &str) -> [&str; 5] {
    ["serve", "--listen", "127.0.0.1:0", "--data", data]
}

/// Overwrites bytes of a file.
fn spoil(file: &Path, at: usize, length: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    let end = (at + length).min(bytes.len());
    bytes[at..end].fill(0xa5);
    std::fs::write(file, bytes).unwrap();
}
