//! Which resources the cluster's nodes offer, or its DeviceClasses serve, with `--watch-nodes`.
//!
//! Of an object nothing is kept but the names of extended resources. Nothing waits for this: until both kinds are
//! listed, and without the permission, there are no warnings.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use admission::Nodes;
use apiserver::{Object, OnChange, Resource, Scope, Told, Watch};
use contract::{DEVICE_CLASS_PREFIX, ResourceName};
use futures_util::future::join;
use k8s_openapi::api::core::v1::Node;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kinds::DEVICE_CLASSES;

/// Nodes in one page of a list: each is large, and of the memory that reading a page takes, most is never given back.
const PAGE_SIZE: u32 = 50;

/// The resources of each node and DeviceClass.
#[derive(Debug, Default)]
pub struct NodeStore(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    nodes: Offers,
    /// No node's `status` has the devices that a DeviceClass serves.
    classes: Offers,
}

/// The resources of each object of a kind.
#[derive(Debug, Default)]
struct Offers {
    objects: HashMap<String, BTreeSet<String>>,
    /// What a list under way has told so far: objects that it does not name are gone.
    listing: HashMap<String, BTreeSet<String>>,
    is_listed: bool,
}

impl Offers {
    /// Those of a kind that the cluster does not know.
    fn none() -> Self {
        Self { is_listed: true, ..Self::default() }
    }

    /// Whether an object has the resource; `None` until they are listed.
    fn have(&self, resource: &ResourceName) -> Option<bool> {
        self.is_listed.then(|| self.objects.values().any(|offered| offered.contains(resource.as_str())))
    }

    fn take<K: kube::Resource>(&mut self, event: Event<K>, offered: fn(&K) -> BTreeSet<String>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                self.listing.insert(object.name_any(), offered(&object));
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.listing);
                self.is_listed = true;
            }
            Event::Apply(object) => {
                self.objects.insert(object.name_any(), offered(&object));
            }
            Event::Delete(object) => {
                self.objects.remove(&object.name_any());
            }
        }
    }
}

impl Nodes for NodeStore {
    fn offer(&self, resource: &ResourceName) -> Option<bool> {
        let state = self.0.read();
        match (state.nodes.have(resource), state.classes.have(resource)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }
    }
}

impl NodeStore {
    /// Watches forever.
    pub async fn run(self: Arc<Self>, client: Client) {
        let nodes: Api<Node> = Api::all(client.clone());
        let classes: Api<DynamicObject> = Api::all_with(client, &DEVICE_CLASSES.api_resource());
        let of_nodes = self.watch(nodes, Resource::of::<Node>(), |state| &mut state.nodes, offered);
        let of_classes = self.watch(classes, DEVICE_CLASSES, |state| &mut state.classes, served);
        join(of_nodes, of_classes).await;
    }

    async fn watch<K>(
        &self,
        api: Api<K>,
        resource: Resource,
        offers: fn(&mut State) -> &mut Offers,
        names: fn(&K) -> BTreeSet<String>,
    ) where
        K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let object: Object = resource.within(Scope::Cluster);
        let config = watcher::Config::default().page_size(PAGE_SIZE);
        let watch = Watch { api, object, config, heartbeat: None };
        let mut said = OnChange::default();
        let tell = |told| match told {
            Told::Event(event) => {
                // A list that has only begun may still fail.
                if !matches!(event, Event::Init) {
                    said.clear();
                }
                offers(&mut self.0.write()).take(event, names);
            }
            Told::Failed(failure) => {
                if failure.is_not_served() {
                    *offers(&mut self.0.write()) = Offers::none();
                }
                if let Some(failure) = said.set(failure) {
                    if failure.is_not_served() {
                        tracing::info!("{} (--watch-nodes): there are none", failure.sentence());
                    } else {
                        tracing::warn!("{failure} (--watch-nodes)");
                    }
                }
            }
        };
        watch.run(tell).await;
    }
}

/// The names by which pods may request devices of a DeviceClass.
fn served(class: &DynamicObject) -> BTreeSet<String> {
    let own = class.data.pointer("/spec/extendedResourceName").and_then(Value::as_str);
    let of_class = format!("{DEVICE_CLASS_PREFIX}{}", class.name_any());
    own.map(str::to_owned).into_iter().chain([of_class]).collect()
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

    fn take(store: &NodeStore, event: Event<Node>) {
        store.0.write().nodes.take(event, offered);
    }

    fn take_class(store: &NodeStore, event: Event<DynamicObject>) {
        store.0.write().classes.take(event, served);
    }

    /// No node is known to have anything, and these classes are.
    fn with_classes(specs: &[(&str, Value)]) -> NodeStore {
        let store = NodeStore::default();
        for event in [Event::Init, Event::InitDone] {
            take(&store, event);
        }
        take_class(&store, Event::Init);
        for (name, spec) in specs {
            let class = json!({"metadata": {"name": name}, "spec": spec});
            take_class(&store, Event::InitApply(serde_json::from_value(class).unwrap()));
        }
        store
    }

    #[test]
    fn a_cluster_without_device_classes_is_asked_for_nodes_alone() {
        let store = NodeStore::default();
        for event in [Event::Init, Event::InitDone] {
            take(&store, event);
        }
        let vf: ResourceName = "intel.com/vf".parse().unwrap();
        assert_eq!(store.offer(&vf), None);
        store.0.write().classes = Offers::none();
        assert_eq!(store.offer(&vf), Some(false));
    }

    #[test]
    fn a_device_class_serves_a_resource_by_either_name() {
        let store =
            with_classes(&[("vf", json!({"extendedResourceName": "intel.com/vf"})), ("plain", json!({}))]);
        let offer = |resource: &str| store.offer(&resource.parse().unwrap());
        // Until the classes are listed, one may serve it.
        assert_eq!(offer("intel.com/vf"), None);
        take_class(&store, Event::InitDone);
        for served in [
            "intel.com/vf",
            "deviceclass.resource.kubernetes.io/vf",
            "deviceclass.resource.kubernetes.io/plain",
        ] {
            assert_eq!(offer(served), Some(true), "{served}");
        }
        assert_eq!(offer("intel.com/other"), Some(false));
        assert_eq!(offer("deviceclass.resource.kubernetes.io/other"), Some(false));
    }

    /// A store that knows that there are no DeviceClasses.
    fn without_classes() -> NodeStore {
        let store = NodeStore::default();
        take_class(&store, Event::InitDone);
        store
    }

    #[test]
    fn follows_the_nodes() {
        let store = without_classes();
        let vf: ResourceName = "intel.com/vf".parse().unwrap();
        assert_eq!(store.offer(&vf), None);
        take(&store, Event::Init);
        take(&store, Event::InitApply(node("a", "intel.com/vf", "4")));
        assert_eq!(store.offer(&vf), None);
        take(&store, Event::InitDone);
        assert_eq!(store.offer(&vf), Some(true));
        take(&store, Event::Apply(node("a", "intel.com/vf", "0")));
        assert_eq!(store.offer(&vf), Some(false));
        take(&store, Event::Apply(node("b", "intel.com/vf", "1")));
        assert_eq!(store.offer(&vf), Some(true));
        take(&store, Event::Delete(node("b", "intel.com/vf", "1")));
        assert_eq!(store.offer(&vf), Some(false));
        assert_eq!(store.offer(&"cpu.example/x".parse().unwrap()), Some(false));
    }

    #[test]
    fn a_list_made_anew_forgets_who_is_gone() {
        let store = without_classes();
        let vf: ResourceName = "intel.com/vf".parse().unwrap();
        for event in [Event::Init, Event::InitApply(node("a", "intel.com/vf", "1")), Event::InitDone] {
            take(&store, event);
        }
        take(&store, Event::Init);
        assert_eq!(store.offer(&vf), Some(true));
        take(&store, Event::InitDone);
        assert_eq!(store.offer(&vf), Some(false));
    }
}
