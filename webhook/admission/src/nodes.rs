//! What is known of the cluster's nodes.

use contract::ResourceName;

/// What is known of nodes.
pub trait Nodes {
    /// Whether any node offers one of `resource`, free or not; `None` if that is not known.
    fn offer(&self, resource: &ResourceName) -> Option<bool>;
}

/// Nobody looks at nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotWatched;

impl Nodes for NotWatched {
    fn offer(&self, _: &ResourceName) -> Option<bool> {
        None
    }
}
