//! The parts of a dump, and how they are written: as a folder, or as a `.tar.gz`.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

/// The parts, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    parts: Vec<(String, Vec<u8>)>,
    missed: Vec<String>,
}

impl Bundle {
    /// Adds a text.
    pub fn text(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.parts.push((path.into(), text.into().into_bytes()));
    }

    /// Adds something as JSON.
    pub fn json(&mut self, path: impl Into<String>, value: &impl Serialize) {
        let path = path.into();
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.text(path, text + "\n"),
            Err(error) => self.missed.push(format!("{path}: {error}")),
        }
    }

    /// Notes that something is not in it, and why.
    pub fn miss(&mut self, sentence: impl Into<String>) {
        self.missed.push(sentence.into());
    }

    /// Adds all of another one.
    pub fn extend(&mut self, other: Self) {
        self.parts.extend(other.parts);
        self.missed.extend(other.missed);
    }

    /// What is not in it.
    #[must_use]
    pub fn missed(&self) -> &[String] {
        &self.missed
    }

    /// Paths and sizes, with the list of what is missing as the last.
    pub fn listing(&self) -> impl Iterator<Item = (&str, usize)> {
        self.parts.iter().map(|(path, content)| (path.as_str(), content.len()))
    }

    /// Adds what is missing as a part of its own.
    #[must_use]
    pub fn closed(mut self) -> Self {
        let missed: String = self.missed.iter().map(|sentence| format!("{sentence}\n")).collect();
        self.text("missing.txt", if missed.is_empty() { "nothing\n".to_owned() } else { missed });
        self
    }

    /// Writes a `.tar.gz` whose paths begin with `root`.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write_archive(&self, root: &str, now: SystemTime, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
        let time = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        for (path, content) in &self.parts {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(time);
            archive.append_data(&mut header, format!("{root}/{path}"), content.as_slice())?;
        }
        archive.into_inner()?.finish()?.flush()
    }

    /// Writes a `.tar.gz` that only its owner may read.
    ///
    /// # Errors
    /// If it cannot be written, or is there already.
    pub fn write_file(&self, root: &str, now: SystemTime, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        self.write_archive(root, now, io::BufWriter::new(file))
    }

    /// Writes each part as a file that only its owner may read.
    ///
    /// # Errors
    /// If one cannot be written, or is there already.
    pub fn write_folder(&self, folder: &Path) -> io::Result<()> {
        for (path, content) in &self.parts {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(content)?;
        }
        // Where there are no parts, there is a folder all the same.
        fs::create_dir_all(folder)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn bundle() -> Bundle {
        let mut bundle = Bundle::default();
        bundle.json("release/pods.json", &["a"]);
        bundle.text("release/logs/a.log", "line\n");
        bundle.miss("not allowed to list nodes");
        bundle.closed()
    }

    fn expected() -> BTreeMap<String, String> {
        [
            ("release/pods.json", "[\n  \"a\"\n]\n"),
            ("release/logs/a.log", "line\n"),
            ("missing.txt", "not allowed to list nodes\n"),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
    }

    #[test]
    fn an_archive_has_every_part() {
        let mut bytes = Vec::new();
        bundle().write_archive("dump", SystemTime::UNIX_EPOCH, &mut bytes).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut found = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().strip_prefix("dump").unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.insert(path, text);
        }
        assert_eq!(found, expected());
    }

    #[test]
    fn a_folder_has_every_part_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("dump");
        bundle().write_folder(&target).unwrap();
        for (path, text) in expected() {
            assert_eq!(fs::read_to_string(target.join(path)).unwrap(), text);
        }
        assert_eq!(bundle().write_folder(&target).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
