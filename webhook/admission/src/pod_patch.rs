//! The changes to a pod that give it what its networks need.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Patch;
use super::needs::Need;
use super::pod::{Container, Entries, Pod};

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
