//! NADs from the API server: a watch on their metadata, which fills the store and keeps it filled.
//!
//! Only name, namespace and annotations are requested, and only what the annotations say is kept. [`Watch`] keeps the
//! watch open; this module reports a failure once, in one line.

mod permissions;
mod sign_of_life;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use admission::{Lookup, Network, Networks as _};
use apiserver::{Backoff, Failure, Scope, Told, Watch};
use contract::NadName;
use kube::api::{Api, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt as _};

use super::{LiveLookup, LiveMetrics, NetworkStore};
use crate::kinds::NADS;
pub use sign_of_life::SignOfLife;

/// NADs in one page of a list. Of the memory that reading the largest page takes, most is never given back: with
/// kube's 500 that was 4 MB.
const PAGE_SIZE: u32 = 100;

type NadMetadata = PartialObjectMeta<DynamicObject>;

/// Keeps a [`NetworkStore`] as the cluster is.
#[derive(Clone)]
pub struct ClusterSource {
    client: Client,
    scope: Scope,
    resource_keys: Arc<[String]>,
    store: Arc<NetworkStore>,
}

impl ClusterSource {
    /// Watches the NADs of one namespace, or of all. The client needs [`SignOfLife`] in it: without that, a
    /// watch on NADs that do not change looks dead.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: Option<String>,
        resource_keys: Vec<String>,
        store: Arc<NetworkStore>,
    ) -> Self {
        let scope = namespace.map_or(Scope::AllNamespaces, Scope::Namespace);
        Self { client, scope, resource_keys: resource_keys.into(), store }
    }

    /// Looks up NADs that the watch has not told of, of any namespace.
    #[must_use]
    pub fn live_lookup(&self, metrics: LiveMetrics) -> LiveLookup {
        let source = self.clone();
        LiveLookup::new(
            move |nad| {
                let source = source.clone();
                Box::pin(async move { source.look_up(&nad).await })
            },
            metrics,
        )
    }

    /// Watches forever.
    pub async fn run(self) {
        self.wait_for_permissions().await;
        let watch = Watch {
            api: self.nads(),
            object: NADS.within(self.scope.clone()),
            config: watcher::Config::default().page_size(PAGE_SIZE),
            heartbeat: Some(&self.store.health().heartbeat),
        };
        let tell = |told| match told {
            Told::Event(event) => self.take(event),
            Told::Failed(failure) => self.say(&failure),
        };
        watch.run(tell).await;
    }

    fn take(&self, event: Event<NadMetadata>) {
        self.store.health().heartbeat.heard();
        match event {
            Event::Init => self.store.begin_list(),
            Event::InitApply(nad) | Event::Apply(nad) => self.set(&nad),
            Event::Delete(nad) => match name(&nad) {
                Ok(name) => self.store.remove(&name),
                Err(error) => tracing::warn!("a deleted NetworkAttachmentDefinition: {error}"),
            },
            Event::InitDone => {
                self.store.end_list();
                let count = self.store.count();
                tracing::info!(
                    valid = count.valid,
                    invalid = count.invalid,
                    "NetworkAttachmentDefinitions {} listed",
                    self.scope
                );
            }
        }
    }

    fn set(&self, nad: &NadMetadata) {
        match name(nad) {
            Ok(name) => {
                let network = self.read(nad);
                if let Network::Invalid(error) = &network
                    && self.store.get(&name).known() != Some(&network)
                {
                    tracing::warn!(nad = %name, "NetworkAttachmentDefinition {name}: {error}");
                }
                self.store.set(name, network);
            }
            Err(error) => tracing::warn!("passed over a NetworkAttachmentDefinition: {error}"),
        }
    }

    fn read(&self, nad: &NadMetadata) -> Network {
        let annotations = nad.annotations().iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Network::from_annotations(&self.resource_keys, annotations)
    }

    async fn look_up(&self, nad: &NadName) -> Lookup {
        let nads: Api<NadMetadata> =
            Api::namespaced_with(self.client.clone(), nad.namespace(), &NADS.api_resource());
        match nads.get(nad.name()).await {
            Ok(nad) => Lookup::Known(Arc::new(self.read(&nad))),
            // Of this NAD, and not of the kind: while an API server starts, it does not know that yet.
            Err(kube::Error::Api(status)) if status.reason == "NotFound" => Lookup::Missing,
            Err(error) => {
                let object = NADS.within(Scope::Namespace(nad.namespace().to_owned()));
                Lookup::Unavailable(Failure::of_request("get", object, &error).to_string().into())
            }
        }
    }

    /// Waits until everything is allowed that is needed. A permission that is missing would otherwise show
    /// only once it is used: `get` with the first pod that comes ahead of the watch.
    async fn wait_for_permissions(&self) {
        let mut backoff = Backoff::of_requests();
        while let Err(failure) = permissions::check(&self.client, &self.scope).await {
            self.say(&failure);
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    fn say(&self, failure: &Failure) {
        let problem = failure.to_string();
        if self.store.health().failed(&problem) {
            if self.store.is_listed() {
                tracing::error!("{problem}; the networks known so far stay in use");
            } else {
                tracing::error!("{problem}");
            }
        }
    }

    fn nads(&self) -> Api<NadMetadata> {
        let (client, resource) = (self.client.clone(), &NADS.api_resource());
        match &self.scope {
            Scope::Namespace(namespace) => Api::namespaced_with(client, namespace, resource),
            Scope::Cluster | Scope::AllNamespaces => Api::all_with(client, resource),
        }
    }
}

fn name(nad: &NadMetadata) -> Result<NadName, contract::NadNameError> {
    NadName::new(&nad.namespace().unwrap_or_default(), &nad.name_any())
}
