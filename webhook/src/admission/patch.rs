//! Explicit JSON Patch operations: each names the one place that changes.

use std::collections::BTreeMap;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

use super::needs::Need;
use super::pod::{Container, Entries, Pod};

/// Sets requests and limits of the container at `index` to each need's total, where that changes something.
pub(super) fn resources(index: usize, container: &Container<'_>, needs: &[Need]) -> Vec<PatchOperation> {
    let needs: Vec<&Need> = needs.iter().filter(|need| need.added > 0 || !need.settled).collect();
    if needs.is_empty() {
        return Vec::new();
    }
    let totals = || needs.iter().map(|need| (need.resource.as_str(), need.total.to_string()));
    let mut place = container_place(index);
    place.push_back("resources");
    let Some(resources) = &container.resources else {
        let quantities = object(totals());
        return vec![add(place, object([("limits", quantities.clone()), ("requests", quantities)]))];
    };
    let limits = set(place.with_trailing_token("limits"), resources.limits.as_ref(), totals());
    let requests = set(place.with_trailing_token("requests"), resources.requests.as_ref(), totals());
    limits.into_iter().chain(requests).collect()
}

/// Adds `labels`, none of which the pod's node selector has.
pub(super) fn node_selector(pod: &Pod<'_>, labels: &BTreeMap<&str, &str>) -> Vec<PatchOperation> {
    if labels.is_empty() {
        return Vec::new();
    }
    let labels = labels.iter().map(|(key, value)| (*key, (*value).to_owned()));
    set(spec_place("nodeSelector"), pod.spec.node_selector.as_ref(), labels)
}

/// Sets keys of a map: the whole map where there is none yet, since a patch cannot add below nothing.
fn set<'v, V>(
    place: PointerBuf,
    existing: Option<&Entries<'_, V>>,
    wanted: impl Iterator<Item = (&'v str, String)>,
) -> Vec<PatchOperation> {
    let Some(existing) = existing else {
        return vec![add(place, object(wanted))];
    };
    wanted
        .map(|(key, value)| {
            let place = place.with_trailing_token(key);
            if existing.get(key).is_some() { replace(place, value) } else { add(place, value) }
        })
        .collect()
}

/// Puts `items` at the end of a list, which is made where it does not exist yet.
pub(super) fn append(place: PointerBuf, exists: bool, items: Vec<Value>) -> Vec<PatchOperation> {
    if items.is_empty() {
        Vec::new()
    } else if exists {
        items.into_iter().map(|item| add(place.with_trailing_token("-"), item)).collect()
    } else {
        vec![add(place, items)]
    }
}

pub(super) fn add(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value: value.into() })
}

pub(super) fn replace(path: PointerBuf, value: impl Into<Value>) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path, value: value.into() })
}

pub(super) fn remove(path: PointerBuf) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path })
}

/// A field of the pod's specification.
pub(super) fn spec_place(field: &str) -> PointerBuf {
    PointerBuf::from_tokens(["spec", field])
}

/// One of the pod's containers.
pub(super) fn container_place(index: usize) -> PointerBuf {
    let mut place = spec_place("containers");
    place.push_back(index);
    place
}

fn object<'k, V: Into<Value>>(entries: impl IntoIterator<Item = (&'k str, V)>) -> Value {
    Value::Object(
        entries.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect::<Map<_, _>>(),
    )
}
