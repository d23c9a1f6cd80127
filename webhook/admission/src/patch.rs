//! JSON Patches of explicit operations: each names the one place that changes.

use std::ops::Deref;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation};
use serde::Serialize;
use serde_json::Value;

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
