//! One look at a cluster, for commands that a person runs: no watch, nothing kept.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use admission::Network;
use certs::store::chain;
use contract::{NadName, kubevirt, nad};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, ObjectList};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use thiserror::Error;

use crate::doctor::facts::Nad;

/// Objects on one page of a list.
const PAGE: u32 = 500;

/// For one page.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why something was not seen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unseen {
    /// The cluster does not know the kind: what brings it is not installed.
    #[error("the cluster has no {kind}: the software that adds them is not installed")]
    NotServed {
        /// The kind, in the plural.
        kind: &'static str,
    },
    /// A permission is missing.
    #[error("no permission to list {kind}: {reason}")]
    Forbidden {
        /// The kind, in the plural.
        kind: &'static str,
        /// What the API server says.
        reason: String,
    },
    /// Anything else.
    #[error("{kind} cannot be listed: {reason}")]
    Failed {
        /// The kind, in the plural.
        kind: &'static str,
        /// What the API server or the connection says.
        reason: String,
    },
}

/// What all NADs say. Only their metadata is requested.
///
/// # Errors
/// If they cannot be listed.
pub async fn networks(
    client: &Client,
    resource_annotations: &[String],
) -> Result<BTreeMap<NadName, Network>, Unseen> {
    let api = &dynamic(client, nad::GROUP, nad::KIND, nad::PLURAL);
    let list = |page| async move { api.list_metadata(&page).await };
    let nads = pages("NetworkAttachmentDefinitions", ListParams::default(), list).await?;
    let read = |nad: PartialObjectMeta<DynamicObject>| {
        let name = NadName::new(&nad.namespace().unwrap_or_default(), &nad.name_any()).ok()?;
        let annotations = nad.annotations().iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Some((name, Network::from_annotations(resource_annotations, annotations)))
    };
    // A name that the API server has taken is a valid one.
    Ok(nads.into_iter().filter_map(read).collect())
}

/// All NADs with what they ask of devices, which their metadata do not say.
///
/// # Errors
/// If they cannot be listed.
pub async fn nads(
    client: &Client,
    resource_annotations: &[String],
) -> Result<BTreeMap<NadName, Nad>, Unseen> {
    let api = &dynamic(client, nad::GROUP, nad::KIND, nad::PLURAL);
    let list = |page| async move { api.list(&page).await };
    let nads = pages("NetworkAttachmentDefinitions", ListParams::default(), list).await?;
    let read = |nad: DynamicObject| {
        let name = NadName::new(&nad.namespace().unwrap_or_default(), &nad.name_any()).ok()?;
        let annotations = nad.annotations().iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let config = nad.data.pointer("/spec/config").and_then(Value::as_str);
        Some((name, Nad::read(resource_annotations, annotations, config)))
    };
    // A name that the API server has accepted is a valid one.
    Ok(nads.into_iter().filter_map(read).collect())
}

/// All virt-launcher pods, or those of these namespaces.
///
/// # Errors
/// If they cannot be listed.
pub async fn launcher_pods(client: &Client, namespaces: &[String]) -> Result<Vec<Pod>, Unseen> {
    let label = format!("{}={}", kubevirt::LAUNCHER_LABEL, kubevirt::LAUNCHER);
    let apis: Vec<Api<Pod>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    };
    let mut pods = Vec::new();
    for api in &apis {
        let parameters = ListParams::default().labels(&label);
        pods.extend(pages("pods", parameters, |page| async move { api.list(&page).await }).await?);
    }
    Ok(pods)
}

/// All objects of a kind that is known to KubeVirt only.
///
/// # Errors
/// If they cannot be listed.
pub async fn kubevirt(
    client: &Client,
    kind: &'static str,
    plural: &'static str,
) -> Result<Vec<DynamicObject>, Unseen> {
    let api = &dynamic(client, "kubevirt.io", kind, plural);
    pages(plural, ListParams::default(), |page| async move { api.list(&page).await }).await
}

/// All objects, page by page.
///
/// # Errors
/// If they cannot be listed.
pub async fn pages<T, F>(
    kind: &'static str,
    parameters: ListParams,
    list: impl Fn(ListParams) -> F,
) -> Result<Vec<T>, Unseen>
where
    T: Clone,
    F: Future<Output = kube::Result<ObjectList<T>>>,
{
    let mut objects = Vec::new();
    let mut next = parameters.limit(PAGE);
    loop {
        let page = tokio::time::timeout(DEADLINE, list(next.clone())).await;
        let page = match page {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => return Err(unseen(kind, &error)),
            Err(_) => {
                let reason = format!("the API server does not answer within {} s", DEADLINE.as_secs());
                return Err(Unseen::Failed { kind, reason });
            }
        };
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => next = next.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

fn dynamic(client: &Client, group: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, "v1", kind);
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
}

fn unseen(kind: &'static str, error: &kube::Error) -> Unseen {
    match error {
        kube::Error::Api(status) if status.code == 404 => Unseen::NotServed { kind },
        kube::Error::Api(status) if status.code == 403 => {
            Unseen::Forbidden { kind, reason: status.message.clone() }
        }
        kube::Error::Api(status) => Unseen::Failed { kind, reason: status.message.clone() },
        other => Unseen::Failed { kind, reason: chain(other) },
    }
}
