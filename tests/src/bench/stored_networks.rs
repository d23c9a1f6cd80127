//! NADs in a real API server, and how long a bare list of them takes.

use std::time::{Duration, Instant};

use contract::nad;
use futures_util::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};

use super::ApiServer;
use super::bodies::{TENANTS, network, tenant};
use crate::api_server::nads;

/// NADs that are created side by side.
const SIDE_BY_SIDE: usize = 16;

/// NADs in one page, as the webhook lists them.
const PAGE: u32 = 100;

impl ApiServer {
    /// Makes the namespaces that the networks are in.
    pub async fn create_tenants(&self) {
        let namespaces = Api::<Namespace>::all(self.control_plane().client().await);
        for index in 0..TENANTS {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(tenant(index));
            namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        }
    }

    /// Creates the networks `from` to `to`.
    pub async fn create_networks(&self, from: usize, to: usize) {
        let client = self.control_plane().client().await;
        let networks = stream::iter(from..to).map(|index| {
            let nad: DynamicObject = serde_json::from_value(network(index)).unwrap();
            let api = nads(client.clone(), &tenant(index));
            async move { api.create(&PostParams::default(), &nad).await.unwrap() }
        });
        networks.buffer_unordered(SIDE_BY_SIDE).for_each(async |_| ()).await;
    }

    /// How long the least takes that reads all NADs: a list in pages, of what the webhook reads of each. Returns how
    /// many there were as well.
    pub async fn list_networks(&self) -> (usize, Duration) {
        let begin = Instant::now();
        let kind = GroupVersionKind::gvk(nad::GROUP, "v1", nad::KIND);
        let kind = ApiResource::from_gvk_with_plural(&kind, nad::PLURAL);
        let api = Api::<DynamicObject>::all_with(self.control_plane().client().await, &kind);
        let mut parameters = ListParams::default().limit(PAGE);
        let mut count = 0;
        loop {
            let page = api.list_metadata(&parameters).await.unwrap();
            count += page.items.len();
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return (count, begin.elapsed()),
            }
        }
    }
}
