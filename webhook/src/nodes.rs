//! Which resources the cluster's nodes offer, with `--watch-nodes`.
//!
//! Of a node nothing is kept but the names of its extended resources. Nothing waits for this: until the nodes
//! are listed, and without the permission, nobody is warned of anything.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use admission::Nodes;
use apiserver::{OnChange, Resource, Scope, Told, Watch};
use contract::ResourceName;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use parking_lot::RwLock;

/// Nodes in one page of a list: each is large, and of the memory that reading a page takes, most is never given back.
const PAGE_SIZE: u32 = 50;

/// The resources of each node.
#[derive(Debug, Default)]
pub struct NodeStore(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    nodes: HashMap<String, BTreeSet<String>>,
    /// What a list under way has told so far: nodes that it does not name are gone.
    listing: HashMap<String, BTreeSet<String>>,
    is_listed: bool,
}

impl Nodes for NodeStore {
    fn offer(&self, resource: &ResourceName) -> Option<bool> {
        let state = self.0.read();
        state.is_listed.then(|| state.nodes.values().any(|offered| offered.contains(resource.as_str())))
    }
}

impl NodeStore {
    /// Watches forever.
    pub async fn run(self: Arc<Self>, client: Client) {
        let watch = Watch {
            api: Api::<Node>::all(client),
            object: Resource::of::<Node>().within(Scope::Cluster),
            config: watcher::Config::default().page_size(PAGE_SIZE),
            heartbeat: None,
        };
        let mut said = OnChange::default();
        let tell = |told| match told {
            Told::Event(event) => {
                self.take(event);
                said.clear();
            }
            Told::Failed(failure) => {
                if let Some(failure) = said.set(failure) {
                    tracing::warn!("{failure} (--watch-nodes)");
                }
            }
        };
        watch.run(tell).await;
    }

    fn take(&self, event: Event<Node>) {
        let mut state = self.0.write();
        match event {
            Event::Init => state.listing.clear(),
            Event::InitApply(node) => {
                state.listing.insert(node.name_any(), offered(&node));
            }
            Event::InitDone => {
                state.nodes = std::mem::take(&mut state.listing);
                state.is_listed = true;
            }
            Event::Apply(node) => {
                state.nodes.insert(node.name_any(), offered(&node));
            }
            Event::Delete(node) => {
                state.nodes.remove(&node.name_any());
            }
        }
    }
}

/// Extended resources have a domain; cpu and memory have none. A device plugin that is gone leaves a zero.
fn offered(node: &Node) -> BTreeSet<String> {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let extended =
        allocatable.into_iter().flatten().filter(|(name, count)| name.contains('/') && count.0 != "0");
    extended.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, resource: &str, count: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {"allocatable": {"cpu": "4", resource: count}}
        }))
        .unwrap()
    }

    #[test]
    fn follows_the_nodes() {
        let store = NodeStore::default();
        let vf: ResourceName = "intel.com/vf".parse().unwrap();
        assert_eq!(store.offer(&vf), None);
        store.take(Event::Init);
        store.take(Event::InitApply(node("a", "intel.com/vf", "4")));
        assert_eq!(store.offer(&vf), None);
        store.take(Event::InitDone);
        assert_eq!(store.offer(&vf), Some(true));
        store.take(Event::Apply(node("a", "intel.com/vf", "0")));
        assert_eq!(store.offer(&vf), Some(false));
        store.take(Event::Apply(node("b", "intel.com/vf", "1")));
        assert_eq!(store.offer(&vf), Some(true));
        store.take(Event::Delete(node("b", "intel.com/vf", "1")));
        assert_eq!(store.offer(&vf), Some(false));
        assert_eq!(store.offer(&"cpu.example/x".parse().unwrap()), Some(false));
    }

    #[test]
    fn a_list_made_anew_forgets_who_is_gone() {
        let store = NodeStore::default();
        let vf: ResourceName = "intel.com/vf".parse().unwrap();
        for event in [Event::Init, Event::InitApply(node("a", "intel.com/vf", "1")), Event::InitDone] {
            store.take(event);
        }
        store.take(Event::Init);
        assert_eq!(store.offer(&vf), Some(true));
        store.take(Event::InitDone);
        assert_eq!(store.offer(&vf), Some(false));
    }
}
