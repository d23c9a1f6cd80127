//! NADs from the API server: a watch on their metadata, which fills the store and keeps it filled.
//!
//! Only name, namespace and annotations are requested, and only what the annotations say is kept. kube's watcher handles
//! pages, bookmarks, resuming and relisting; this module reports a failure once, in one line, and keeps trying.

mod permissions;
mod problem;
mod sign_of_life;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use admission::{Lookup, Network, Networks as _};
use contract::{NadName, nad};
use futures_util::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use tokio::time::timeout;

use super::{LiveLookup, LiveMetrics, NetworkStore};
pub use problem::{Place, Problem};
pub use sign_of_life::SignOfLife;

/// How long the API server keeps one watch open; the next one goes on where it ended. A connection that died
/// without a word is noticed this late.
const WATCH: u32 = 120;

/// After so much silence the watch is given up: twice its time has passed with no event, no bookmark and no
/// new watch.
const SILENCE: Duration = Duration::from_secs(240);

/// NADs in one page of a list. Of the memory that reading the largest page takes, most is never given back: with
/// kube's 500 that was 4 MB.
const PAGE_SIZE: u32 = 100;

/// How long one page of a list may take: the API server itself gives up after 60 seconds.
const PAGE: Duration = Duration::from_secs(90);

/// Pause between two tries, at first and at most. A few replicas that ask this often do not burden an API server, and
/// every second that the watch recovers sooner is one less with stale networks.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type NadMetadata = PartialObjectMeta<DynamicObject>;

/// Keeps a [`NetworkStore`] as the cluster is.
#[derive(Clone)]
pub struct ClusterSource {
    client: Client,
    place: Place,
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
        let place = namespace.map_or(Place::Everywhere, Place::Namespace);
        Self { client, place, resource_keys: resource_keys.into(), store }
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
        let mut pause = PAUSE;
        loop {
            let config = watcher::Config::default().timeout(WATCH).page_size(PAGE_SIZE);
            let mut events = pin!(watcher(self.nads(), config));
            let mut listing = true;
            loop {
                let limit = if listing { PAGE } else { SILENCE };
                match timeout(limit, events.next()).await {
                    // A bookmark is not an event.
                    Err(_) if !listing && self.store.silence() < limit => {}
                    Err(_) => {
                        let verb = if listing { "list" } else { "watch" };
                        self.say(&Problem::silent(self.place.clone(), verb, limit));
                        break;
                    }
                    Ok(None) => break,
                    Ok(Some(Ok(event))) => {
                        // A list has only begun then.
                        if !matches!(event, Event::Init) {
                            pause = PAUSE;
                        }
                        listing = !matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
                        self.take(event);
                    }
                    Ok(Some(Err(error))) if problem::is_expired(&error) => {
                        tracing::info!("the watch fell too far behind: listing all NADs again");
                        listing = true;
                    }
                    Ok(Some(Err(error))) => {
                        self.say(&Problem::of_watch(self.place.clone(), &error));
                        tokio::time::sleep(pause).await;
                        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
    }

    fn take(&self, event: Event<NadMetadata>) {
        self.store.heard();
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
                    self.place
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
            Api::namespaced_with(self.client.clone(), nad.namespace(), &api_resource());
        match nads.get(nad.name()).await {
            Ok(nad) => Lookup::Known(Arc::new(self.read(&nad))),
            // Of this NAD, and not of the kind: while an API server starts, it does not know that yet.
            Err(kube::Error::Api(status)) if status.reason == "NotFound" => Lookup::Missing,
            Err(error) => {
                let place = Place::Namespace(nad.namespace().to_owned());
                Lookup::Unavailable(Problem::of_request(place, "get", &error).to_string().into())
            }
        }
    }

    /// Waits until everything is allowed that is needed. A permission that is missing would otherwise show
    /// only once it is used: `get` with the first pod that comes ahead of the watch.
    async fn wait_for_permissions(&self) {
        let mut pause = PAUSE;
        while let Err(problem) = permissions::check(&self.client, &self.place).await {
            self.say(&problem);
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    fn say(&self, problem: &Problem) {
        let problem = problem.to_string();
        if self.store.failed(&problem) {
            if self.store.is_listed() {
                tracing::error!("{problem}; the networks known so far stay in use");
            } else {
                tracing::error!("{problem}");
            }
        }
    }

    fn nads(&self) -> Api<NadMetadata> {
        match &self.place {
            Place::Everywhere => Api::all_with(self.client.clone(), &api_resource()),
            Place::Namespace(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace, &api_resource())
            }
        }
    }
}

fn api_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(nad::GROUP, "v1", nad::KIND);
    ApiResource::from_gvk_with_plural(&kind, nad::PLURAL)
}

fn name(nad: &NadMetadata) -> Result<NadName, contract::NadNameError> {
    NadName::new(&nad.namespace().unwrap_or_default(), &nad.name_any())
}
