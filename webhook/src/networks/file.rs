//! NADs from files: the source that needs no cluster.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use admission::Network;
use contract::{NadName, NadNameError, Quoted, nad};
use serde_json::Value;
use thiserror::Error;

use crate::manifests::{self, Document, DocumentError, Position};
use crate::networks::interner::Interner;

/// What a file or a directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Each NAD and what it says; what several say alike is there once.
    pub networks: BTreeMap<NadName, Arc<Network>>,
    /// How many objects of other kinds were passed over.
    pub others: usize,
}

/// Files that hold no set of NADs.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system did not let us read.
    #[error("{}: {problem}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// Neither YAML nor JSON, or no objects.
    #[error("{}: {problem}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: DocumentError,
    },
    /// A NAD whose metadata is wrong.
    #[error("{}: {position}: NetworkAttachmentDefinition {}: {problem}", path.display(), Quoted(name))]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        position: Position,
        /// The name as it stands there.
        name: String,
        /// What is wrong with it.
        problem: Box<MetadataError>,
    },
    /// A NAD without a name.
    #[error(
        "{}: {position}: NetworkAttachmentDefinition has no metadata.name{}",
        path.display(),
        if *metadata_is_empty { "; metadata is empty: was the indentation lost?" } else { ": give it one" }
    )]
    NoName {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        position: Position,
        /// Whether nothing at all is below `metadata`.
        metadata_is_empty: bool,
    },
    /// Two NADs of one name: which one holds is not for us to guess.
    #[error("NetworkAttachmentDefinition {name} stands in {} and again in {}: remove one", first.display(), second.display())]
    Twice {
        /// The NAD.
        name: NadName,
        /// Where it was found first.
        first: PathBuf,
        /// Where it was found again.
        second: PathBuf,
    },
}

/// What is wrong with a NAD's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// Namespace or name.
    #[error(transparent)]
    Name(#[from] NadNameError),
    /// An annotation's value has to be a string.
    #[error("annotation {} is not a string: put it in quotes", Quoted(key))]
    Annotation {
        /// The annotation's key.
        key: String,
    },
}

/// Reads all NADs in a file, or in the `.yaml`, `.yml` and `.json` files of a directory.
///
/// # Errors
/// What cannot be read, is not well-formed, or stands there twice. A NAD whose annotations are wrong is not an error
/// here: it is loaded as [`Network::Invalid`], and refuses the pods that name it.
pub fn load(path: &Path, resource_keys: &[String]) -> Result<Loaded, FileError> {
    let mut loaded = Loaded::default();
    let mut interner = Interner::default();
    let mut read_before: Vec<PathBuf> = Vec::new();
    for file in files(path)? {
        for Document { position, object } in objects(&file)? {
            if !is_nad(&object) {
                loaded.others += 1;
                continue;
            }
            if metadata(&object, "name").is_empty() {
                let metadata = object.get("metadata").unwrap_or(&Value::Null);
                let metadata_is_empty =
                    metadata.is_null() || metadata.as_object().is_some_and(serde_json::Map::is_empty);
                return Err(FileError::NoName { path: file, position, metadata_is_empty });
            }
            let (name, network) = read(&object, resource_keys).map_err(|problem| FileError::Metadata {
                path: file.clone(),
                position,
                name: metadata(&object, "name").to_owned(),
                problem: Box::new(problem),
            })?;
            // One of each is enough, also while they come in.
            let network = interner.share(Arc::new(network));
            match loaded.networks.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(network);
                }
                Entry::Occupied(place) => {
                    let name = place.key().clone();
                    let first = holder(&name, &read_before).unwrap_or_else(|| file.clone());
                    return Err(FileError::Twice { name, first, second: file });
                }
            }
        }
        read_before.push(file);
    }
    Ok(loaded)
}

fn objects(file: &Path) -> Result<Vec<Document>, FileError> {
    let bytes = fs::read(file).map_err(|problem| FileError::Read { path: file.to_owned(), problem })?;
    manifests::text(&bytes)
        .and_then(manifests::parse)
        .map_err(|problem| FileError::Document { path: file.to_owned(), problem })
}

/// The file that holds the NAD. Read once more, so that nobody has to remember it for every NAD.
fn holder(name: &NadName, files: &[PathBuf]) -> Option<PathBuf> {
    let holds = |file: &&PathBuf| {
        let objects = objects(file).unwrap_or_default();
        let mut nads = objects.iter().map(|found| &found.object).filter(|object| is_nad(object));
        nads.any(|object| read_name(object).as_ref() == Ok(name))
    };
    files.iter().find(holds).cloned()
}

/// The file itself, or those of a directory in the order of their names. Hidden ones are left out: a
/// ConfigMap's mount keeps its old and new content in them.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = |problem| FileError::Read { path: path.to_owned(), problem };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = file
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if manifest && !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn is_nad(object: &Value) -> bool {
    let group =
        object.get("apiVersion").and_then(Value::as_str).and_then(|version| version.split('/').next());
    manifests::kind(object) == nad::KIND && group == Some(nad::GROUP)
}

fn metadata<'o>(object: &'o Value, key: &str) -> &'o str {
    object.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str).unwrap_or_default()
}

fn read_name(object: &Value) -> Result<NadName, NadNameError> {
    let namespace = metadata(object, "namespace");
    NadName::new(if namespace.is_empty() { "default" } else { namespace }, metadata(object, "name"))
}

fn read(object: &Value, resource_keys: &[String]) -> Result<(NadName, Network), MetadataError> {
    let name = read_name(object)?;
    let annotations = object
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations"))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| match value {
            Value::String(text) => Ok((key.as_str(), text.as_str())),
            Value::Null => Ok((key.as_str(), "")),
            _ => Err(MetadataError::Annotation { key: key.clone() }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((name, Network::from_annotations(resource_keys, annotations)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAD: &str =
        "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata:\n  name: ";

    fn keys() -> Vec<String> {
        vec!["k8s.v1.cni.cncf.io/resourceName".to_owned()]
    }

    fn load_files(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let show = |(name, network): (&NadName, &Arc<Network>)| match &**network {
            Network::Valid(requirements) => format!("{name} {:?}", requirements.resources),
            Network::Invalid(error) => format!("{name}: {error}"),
        };
        let loaded = load(directory.path(), &keys());
        let root = directory.path().display().to_string();
        loaded
            .map(|loaded| loaded.networks.iter().map(show).collect())
            .map_err(|error| error.to_string().replace(&root, "DIR"))
    }

    #[test]
    fn a_directory_is_read_whole_and_other_kinds_are_passed_over() {
        let files = [
            ("a.yaml", format!("{NAD}a\n---\nkind: Pod\n")),
            ("b.json", r#"{"kind":"NetworkAttachmentDefinitionList","items":[{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{"name":"b","namespace":"ns"}}]}"#.to_owned()),
            (".hidden.yaml", "broken: [".to_owned()),
            ("notes.txt", "broken: [".to_owned()),
        ];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(load_files(&files).unwrap(), ["default/a []", "ns/b []"]);
    }

    #[test]
    fn a_wrong_resource_is_kept_with_its_reason() {
        let text = format!("{NAD}a\n  annotations:\n    k8s.v1.cni.cncf.io/resourceName: cpu\n");
        let found = load_files(&[("a.yaml", &text)]).unwrap();
        assert!(
            found[0].starts_with("default/a: its annotation k8s.v1.cni.cncf.io/resourceName: \"cpu\""),
            "{found:?}"
        );
    }

    #[test]
    fn refusals() {
        let cases = [
            (
                "twice",
                "a\n---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata:\n  name: a",
            ),
            ("path", "../x"),
            ("number", "a\n  annotations: {x: 7}"),
            ("syntax", "a: b: c"),
            ("no name", "\n  namespace: ns"),
            (
                "lost indentation",
                "a\n---\napiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata:\nname: a",
            ),
        ];
        let told = cases.map(|(name, rest)| {
            format!("{name}\n  {}", load_files(&[("a.yaml", &format!("{NAD}{rest}\n"))]).unwrap_err())
        });
        insta::assert_snapshot!(told.join("\n"), @r#"
        twice
          NetworkAttachmentDefinition default/a stands in DIR/a.yaml and again in DIR/a.yaml: remove one
        path
          DIR/a.yaml: document 1: NetworkAttachmentDefinition "../x": NAD name "../x" has the character '/'; only lower-case letters, digits, '-' and '.' are allowed
        number
          DIR/a.yaml: document 1: NetworkAttachmentDefinition "a": annotation "x" is not a string: put it in quotes
        syntax
          DIR/a.yaml: is not YAML: error: line 4 column 10: mapping values are not allowed in this context
         --> <input>:4:10
          |
        2 | kind: NetworkAttachmentDefinition
        3 | metadata:
        4 |   name: a: b: c
          |          ^ mapping values are not allowed in this context
        no name
          DIR/a.yaml: document 1: NetworkAttachmentDefinition has no metadata.name: give it one
        lost indentation
          DIR/a.yaml: document 2: NetworkAttachmentDefinition has no metadata.name; metadata is empty: was the indentation lost?
        "#);
    }

    #[test]
    fn a_file_in_utf_16_is_called_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        fs::write(
            &file,
            NAD.encode_utf16().fold(vec![0xff, 0xfe], |mut bytes, unit| {
                bytes.extend(unit.to_le_bytes());
                bytes
            }),
        )
        .unwrap();
        let message = load(&file, &keys()).unwrap_err().to_string();
        assert!(message.ends_with("a.yaml: is not UTF-8 text (it starts like UTF-16, as PowerShell's > writes it): save it as UTF-8"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = load(Path::new("/nowhere/nads.yaml"), &keys()).unwrap_err().to_string();
        assert!(message.starts_with("/nowhere/nads.yaml: "), "{message}");
    }
}
