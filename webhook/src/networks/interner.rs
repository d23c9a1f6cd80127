//! Thousands of NADs say one of a few things: equal ones are one.

use std::collections::HashSet;
use std::sync::Arc;

use admission::Network;

/// One of each.
#[derive(Debug, Default)]
pub(super) struct Interner(HashSet<Arc<Network>>);

impl Interner {
    /// The one that is equal, or else `network` itself.
    pub(super) fn share(&mut self, network: Arc<Network>) -> Arc<Network> {
        if let Some(known) = self.0.get(&network) {
            return Arc::clone(known);
        }
        self.0.insert(Arc::clone(&network));
        network
    }

    /// Forgets `network` where nobody but its holder here and the caller has it.
    #[cfg(feature = "server")]
    pub(super) fn forget(&mut self, network: &Arc<Network>) {
        if Self::is_last(network) {
            self.0.remove(network);
        }
    }

    /// Whether [`Interner::forget`] would forget it.
    #[cfg(feature = "server")]
    pub(super) fn is_last(network: &Arc<Network>) -> bool {
        Arc::strong_count(network) <= 2
    }

    /// Forgets all that nobody else has.
    #[cfg(feature = "server")]
    pub(super) fn prune(&mut self) {
        self.0.retain(|network| Arc::strong_count(network) > 1);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
