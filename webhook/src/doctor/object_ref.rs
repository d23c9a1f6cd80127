//! Which object a finding is about.

use std::fmt;

use contract::NadName;
use serde::Serialize;

/// An object of the cluster, or a resource that nodes advertise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectRef {
    /// Its kind; `ExtendedResource`, which is not a kind of the API, for a resource of nodes.
    pub kind: &'static str,
    /// Its namespace, if its kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// An object of the cluster itself.
    #[must_use]
    pub fn of_cluster(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, namespace: None, name: name.into() }
    }

    /// An object of a namespace.
    #[must_use]
    pub fn in_namespace(kind: &'static str, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: Some(namespace.into()), name: name.into() }
    }

    /// A NetworkAttachmentDefinition.
    #[must_use]
    pub fn nad(name: &NadName) -> Self {
        Self::in_namespace("NetworkAttachmentDefinition", name.namespace(), name.name())
    }

    /// A resource that nodes advertise.
    #[must_use]
    pub fn resource(name: &str) -> Self {
        Self::of_cluster("ExtendedResource", name)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}
