//! Explicit JSON Patch operations: each names the one place that changes.

use std::collections::BTreeMap;
use std::ops::Deref;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::needs::Need;
use super::pod::{Container, Entries, Pod};

/// A JSON Patch (RFC 6902).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Patch(Vec<PatchOperation>);

impl Deref for Patch {
    type Target = [PatchOperation];

    fn deref(&self) -> &[PatchOperation] {
        &self.0
    }
}

impl Patch {
    /// The patch that changes nothing.
    pub const EMPTY: &'static Self = &Self(Vec::new());

    pub(super) fn add<'p>(&mut self, path: impl IntoIterator<Item = &'p str>, value: impl Into<Value>) {
        let path = PointerBuf::from_tokens(path);
        self.0.push(PatchOperation::Add(AddOperation { path, value: value.into() }));
    }

    pub(super) fn replace<'p>(&mut self, path: impl IntoIterator<Item = &'p str>, value: impl Into<Value>) {
        let path = PointerBuf::from_tokens(path);
        self.0.push(PatchOperation::Replace(ReplaceOperation { path, value: value.into() }));
    }

    pub(super) fn remove<'p>(&mut self, path: impl IntoIterator<Item = &'p str>) {
        self.0.push(PatchOperation::Remove(RemoveOperation { path: PointerBuf::from_tokens(path) }));
    }

    /// Adds `items` at the end of the list at `path`, which is created unless it `exists`.
    pub(super) fn append<const N: usize>(&mut self, path: [&str; N], exists: bool, items: Vec<Value>) {
        if items.is_empty() {
            return;
        }
        if exists {
            items.into_iter().for_each(|item| self.add(path.into_iter().chain(["-"]), item));
        } else {
            self.add(path, items);
        }
    }
}

/// Sets requests and limits of the container at `index` to each need's total, if that changes something.
pub(super) fn resources(patch: &mut Patch, index: usize, container: &Container<'_>, needs: &[Need]) {
    let changed: Map<String, Value> = needs
        .iter()
        .filter(|need| need.added > 0 || !need.settled)
        .map(|need| (need.resource.to_string(), need.total.to_string().into()))
        .collect();
    if changed.is_empty() {
        return;
    }
    let index = index.to_string();
    let path = ["spec", "containers", &index, "resources"];
    let Some(resources) = &container.resources else {
        return patch.add(path, json!({"limits": changed, "requests": changed}));
    };
    for (field, quantities) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        set(patch, path.into_iter().chain([field]), quantities.as_ref(), &changed);
    }
}

/// Adds `labels`, none of which the pod's node selector has.
pub(super) fn node_selector(patch: &mut Patch, pod: &Pod<'_>, labels: &BTreeMap<&str, &str>) {
    if !labels.is_empty() {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        set(patch, ["spec", "nodeSelector"].into_iter(), pod.spec.node_selector.as_ref(), &labels);
    }
}

/// Sets keys of a map: the whole map if it does not exist yet, since a patch cannot add below nothing.
fn set<'p, V>(
    patch: &mut Patch,
    path: impl Iterator<Item = &'p str> + Clone,
    existing: Option<&Entries<'_, V>>,
    wanted: &'p Map<String, Value>,
) {
    let Some(existing) = existing else {
        return patch.add(path, wanted.clone());
    };
    for (key, value) in wanted {
        let path = path.clone().chain([key.as_str()]);
        if existing.contains_key(key.as_str()) {
            patch.replace(path, value.clone());
        } else {
            patch.add(path, value.clone());
        }
    }
}
