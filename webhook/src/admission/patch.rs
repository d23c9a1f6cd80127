//! Explicit JSON Patch operations: each names the one place that changes.

use std::collections::BTreeMap;
use std::fmt;

use json_patch::jsonptr::Token;
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value;

use super::needs::Need;
use super::pod::{Container, Entries, Pod};

/// A JSON Patch (RFC 6902), written down as it is made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The operations with a comma behind each.
    operations: Vec<u8>,
}

/// The patch of what stays as it is.
pub(crate) static NOTHING: Patch = Patch { operations: Vec::new() };

#[derive(serde::Serialize)]
struct Operation<'a, V: ?Sized> {
    op: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a V>,
}

impl Patch {
    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The patch as JSON, a list of operations.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let operations = self.operations.strip_suffix(b",").unwrap_or_default();
        [b"[", operations, b"]"].concat()
    }

    /// The patch as something that can be applied.
    ///
    /// # Errors
    /// Where it is no list of operations, which it always is.
    pub fn operations(&self) -> serde_json::Result<json_patch::Patch> {
        serde_json::from_slice(&self.to_json())
    }

    pub(super) fn add<'p>(
        &mut self,
        place: impl IntoIterator<Item = &'p str>,
        value: &(impl Serialize + ?Sized),
    ) {
        self.write("add", place, Some(value));
    }

    pub(super) fn replace<'p>(
        &mut self,
        place: impl IntoIterator<Item = &'p str>,
        value: &(impl Serialize + ?Sized),
    ) {
        self.write("replace", place, Some(value));
    }

    pub(super) fn remove<'p>(&mut self, place: impl IntoIterator<Item = &'p str>) {
        self.write::<Value>("remove", place, None);
    }

    /// Puts `items` at the end of the list at `place`, which is made where it does not exist yet.
    pub(super) fn append<const N: usize>(&mut self, place: [&str; N], exists: bool, items: &[Value]) {
        if items.is_empty() {
            return;
        }
        if exists {
            items.iter().for_each(|item| self.add(place.into_iter().chain(["-"]), item));
        } else {
            self.add(place, items);
        }
    }

    fn write<'p, V: Serialize + ?Sized>(
        &mut self,
        op: &'static str,
        place: impl IntoIterator<Item = &'p str>,
        value: Option<&V>,
    ) {
        if self.operations.is_empty() {
            // Room for what is usual, so that it is not moved while it is written.
            self.operations.reserve(512);
        }
        let path = pointer(place);
        // Nothing that is written here has keys other than strings or fails by itself, and memory takes all.
        let _ = serde_json::to_writer(&mut self.operations, &Operation { op, path: &path, value });
        self.operations.push(b',');
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.operations().map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// A JSON Pointer (RFC 6901).
fn pointer<'p>(place: impl IntoIterator<Item = &'p str>) -> String {
    let mut pointer = String::with_capacity(96);
    for token in place {
        pointer.push('/');
        pointer.push_str(Token::new(token).encoded());
    }
    pointer
}

/// Sets requests and limits of the container at `index` to each need's total, where that changes something.
pub(super) fn resources(patch: &mut Patch, index: usize, container: &Container<'_>, needs: &[Need]) {
    let changed: Vec<(&str, String)> = needs
        .iter()
        .filter(|need| need.added > 0 || !need.settled)
        .map(|need| (need.resource.as_str(), need.total.to_string()))
        .collect();
    if changed.is_empty() {
        return;
    }
    let index = index.to_string();
    let place = ["spec", "containers", &index, "resources"];
    let Some(resources) = &container.resources else {
        let quantities = Object(&changed);
        return patch.add(place, &BTreeMap::from([("limits", &quantities), ("requests", &quantities)]));
    };
    for (field, quantities) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        set(patch, place.into_iter().chain([field]), quantities.as_ref(), &changed);
    }
}

/// Adds `labels`, none of which the pod's node selector has.
pub(super) fn node_selector(patch: &mut Patch, pod: &Pod<'_>, labels: &BTreeMap<&str, &str>) {
    if !labels.is_empty() {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (*key, *value)).collect();
        set(patch, ["spec", "nodeSelector"].into_iter(), pod.spec.node_selector.as_ref(), &labels);
    }
}

/// Sets keys of a map: the whole map where there is none yet, since a patch cannot add below nothing.
fn set<'p, V>(
    patch: &mut Patch,
    place: impl Iterator<Item = &'p str> + Clone,
    existing: Option<&Entries<'_, V>>,
    wanted: &'p [(&'p str, impl Serialize)],
) {
    let Some(existing) = existing else {
        return patch.add(place, &Object(wanted));
    };
    for (key, value) in wanted {
        let place = place.clone().chain([*key]);
        if existing.get(key).is_some() { patch.replace(place, value) } else { patch.add(place, value) }
    }
}

/// Entries written as an object, each key once.
struct Object<'a, V>(&'a [(&'a str, V)]);

impl<V: Serialize> Serialize for Object<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}
