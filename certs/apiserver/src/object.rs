//! What a request is about, in the words of messages.

use std::fmt;

use kube::api::{ApiResource, GroupVersionKind};

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// Its API group; empty for the core's.
    pub group: &'static str,
    /// The version in which it is read.
    pub version: &'static str,
    /// Its name as `kind`.
    pub kind: &'static str,
    /// Its name in URLs and RBAC rules.
    pub plural: &'static str,
    /// What to install where an API server does not know it; `None` if every API server does.
    pub installed_with: Option<&'static str>,
}

/// Where objects of a kind are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The kind has no namespaces.
    Cluster,
    /// In all namespaces.
    AllNamespaces,
    /// In one.
    Namespace(String),
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// One object that the reader may know by name.
    One {
        /// Its kind.
        kind: &'static str,
        /// Its namespace; `None` if the kind has none.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// All objects of a kind, or one of them whose name does not matter.
    All {
        /// The kind.
        resource: Resource,
        /// Where.
        scope: Scope,
    },
}

impl Resource {
    /// A kind that every API server knows.
    #[must_use]
    pub const fn of<K: k8s_openapi::Resource>() -> Self {
        Self {
            group: K::GROUP,
            version: K::VERSION,
            kind: K::KIND,
            plural: K::URL_PATH_SEGMENT,
            installed_with: None,
        }
    }

    /// All of this kind, in `scope`.
    #[must_use]
    pub const fn within(self, scope: Scope) -> Object {
        Object::All { resource: self, scope }
    }

    /// For a client that has no type for this kind.
    #[must_use]
    pub fn api_resource(&self) -> ApiResource {
        let Self { group, version, kind, plural, installed_with: _ } = *self;
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

impl Object {
    /// An object in a namespace.
    pub fn named(kind: &'static str, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::One { kind, namespace: Some(namespace.into()), name: name.into() }
    }

    /// An object of a kind without namespaces.
    pub fn of_cluster(kind: &'static str, name: impl Into<String>) -> Self {
        Self::One { kind, namespace: None, name: name.into() }
    }

    /// The role that a permission on it belongs into.
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Self::One { namespace: Some(_), .. } | Self::All { scope: Scope::Namespace(_), .. } => {
                "Role in that namespace"
            }
            _ => "ClusterRole",
        }
    }

    /// The pronoun for it.
    pub(crate) fn pronoun(&self) -> &'static str {
        match self {
            Self::One { .. } => "it",
            Self::All { .. } => "them",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("in the cluster"),
            Self::AllNamespaces => f.write_str("in all namespaces"),
            Self::Namespace(namespace) => write!(f, "in namespace {namespace}"),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One { kind, namespace: Some(namespace), name } => write!(f, "{kind} {namespace}/{name}"),
            Self::One { kind, namespace: None, name } => write!(f, "{kind} {name}"),
            Self::All { resource, scope: Scope::Cluster } => write!(f, "{resource}"),
            Self::All { resource, scope } => write!(f, "{resource} {scope}"),
        }
    }
}
