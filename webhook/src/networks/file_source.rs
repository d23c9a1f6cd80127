//! Files that are read again when they change.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use admission::Network;

use super::NetworkStore;
use super::file::{self, FileError};

/// Keeps a [`NetworkStore`] as the files are.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    resource_keys: Vec<String>,
    store: Arc<NetworkStore>,
    seen: Option<Seen>,
}

/// What the files were like at the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Of names, sizes, times and inodes.
    state: u64,
    /// Of names and contents.
    content: u64,
    /// Whether all times are so long ago that a further change gives other ones.
    settled: bool,
}

/// File systems tell times to some milliseconds; two writes within that may look like one.
const SETTLED: Duration = Duration::from_secs(2);

impl FileSource {
    /// Fills `store` from `path` at once.
    ///
    /// # Errors
    /// What [`file::load`] finds wrong.
    pub fn open(
        path: PathBuf,
        resource_keys: Vec<String>,
        store: Arc<NetworkStore>,
    ) -> Result<Self, FileError> {
        let mut source = Self { path, resource_keys, store, seen: None };
        source.look()?;
        Ok(source)
    }

    /// Looks again every `interval`, forever. What is wrong is said once, and what was good goes on.
    pub async fn run(mut self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let looked = tokio::task::spawn_blocking(move || {
                let result = self.look();
                (self, result)
            });
            let Ok((source, result)) = looked.await else {
                tracing::error!("reading the network files panicked; the networks known so far stay in use");
                return;
            };
            self = source;
            if let Err(error) = result {
                let error = error.to_string();
                if self.store.health().failed(&error) {
                    tracing::error!(error, "the networks were not reloaded; what was good goes on");
                }
            } else if self.store.health().recovered() {
                tracing::info!(path = %self.path.display(), "the network files are in order again");
            }
        }
    }

    /// Reads what changed. Returns whether anything did.
    fn look(&mut self) -> Result<bool, FileError> {
        let files = file::files(&self.path)?;
        let (state, settled) = state(&files)?;
        if self.seen.is_some_and(|seen| seen.settled && seen.state == state) {
            self.store.health().heartbeat.heard();
            return Ok(false);
        }
        let content = content(&files)?;
        if self.seen.is_some_and(|seen| seen.content == content) {
            self.seen = Some(Seen { state, content, settled });
            self.store.health().heartbeat.heard();
            return Ok(false);
        }
        let loaded = file::load(&self.path, &self.resource_keys)?;
        self.store.begin_list();
        for (nad, network) in loaded.networks {
            if let Network::Invalid(error) = &*network {
                tracing::warn!(%nad, "NetworkAttachmentDefinition {nad}: {error}");
            }
            self.store.set(nad, network);
        }
        self.store.end_list();
        self.store.health().heartbeat.heard();
        let count = self.store.count();
        tracing::info!(
            path = %self.path.display(),
            valid = count.valid,
            invalid = count.invalid,
            passed_over = loaded.others,
            "networks loaded"
        );
        self.seen = Some(Seen { state, content, settled });
        Ok(true)
    }
}

/// What the system says of the files, and whether that can be relied upon.
fn state(files: &[PathBuf]) -> Result<(u64, bool), FileError> {
    use std::os::unix::fs::MetadataExt as _;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let settled_before = now.saturating_sub(SETTLED).as_secs();
    let mut hasher = DefaultHasher::new();
    let mut settled = true;
    for file in files {
        let metadata =
            fs::metadata(file).map_err(|problem| FileError::Read { path: file.clone(), problem })?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        (file, metadata.dev(), metadata.ino(), metadata.len(), changed, metadata.mtime_nsec())
            .hash(&mut hasher);
        settled &= u64::try_from(changed.0).is_ok_and(|changed| changed < settled_before);
    }
    Ok((hasher.finish(), settled))
}

fn content(files: &[PathBuf]) -> Result<u64, FileError> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let bytes = fs::read(file).map_err(|problem| FileError::Read { path: file.clone(), problem })?;
        (file, bytes).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use admission::Networks as _;
    use contract::{NadName, annotation};
    use std::path::Path;

    fn nads(names: &[&str]) -> String {
        let nad = |name: &&str| {
            format!(
                "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {{name: {name}}}\n"
            )
        };
        names.iter().map(nad).collect::<Vec<_>>().join("---\n")
    }

    fn open(path: &Path) -> Result<(FileSource, Arc<NetworkStore>), FileError> {
        let store = Arc::new(NetworkStore::default());
        let keys = vec![annotation::RESOURCE_NAME.to_owned()];
        Ok((FileSource::open(path.to_owned(), keys, Arc::clone(&store))?, store))
    }

    fn knows(store: &NetworkStore, name: &str) -> bool {
        store.get(&NadName::new("default", name).unwrap()).known().is_some()
    }

    #[test]
    fn a_changed_file_is_taken_and_an_unchanged_one_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nads.yaml");
        fs::write(&path, nads(&["a", "b"])).unwrap();
        let (mut source, store) = open(&path).unwrap();
        assert!(store.is_listed() && knows(&store, "a") && knows(&store, "b"));
        assert!(!source.look().unwrap());
        fs::write(&path, nads(&["b", "c"])).unwrap();
        assert!(source.look().unwrap());
        assert!(!knows(&store, "a") && knows(&store, "b") && knows(&store, "c"));
    }

    #[test]
    fn a_broken_file_leaves_what_was_good_until_it_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), nads(&["a"])).unwrap();
        let (mut source, store) = open(folder.path()).unwrap();
        fs::write(folder.path().join("b.yaml"), "broken: [").unwrap();
        let message = source.look().unwrap_err().to_string();
        assert!(message.contains("b.yaml: is not YAML"), "{message}");
        assert!(source.look().is_err(), "still broken at the next look");
        assert!(knows(&store, "a"));
        fs::write(folder.path().join("b.yaml"), nads(&["b"])).unwrap();
        assert!(source.look().unwrap());
        assert!(knows(&store, "a") && knows(&store, "b"));
    }

    #[test]
    fn a_configmap_mount_changes_by_its_symbolic_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (version, name) in [("..1", "a"), ("..2", "b")] {
            fs::create_dir(root.join(version)).unwrap();
            fs::write(root.join(version).join("nads.yaml"), nads(&[name])).unwrap();
        }
        std::os::unix::fs::symlink("..1", root.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/nads.yaml", root.join("nads.yaml")).unwrap();
        let (mut source, store) = open(root).unwrap();
        assert!(knows(&store, "a"));
        std::os::unix::fs::symlink("..2", root.join("..new")).unwrap();
        fs::rename(root.join("..new"), root.join("..data")).unwrap();
        assert!(source.look().unwrap());
        assert!(knows(&store, "b") && !knows(&store, "a"));
    }

    #[test]
    fn a_broken_file_at_the_start_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "broken: [").unwrap();
        assert!(open(folder.path()).is_err());
    }
}
