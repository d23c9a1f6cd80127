//! One look at a cluster, for commands that a person runs: no watch, nothing kept.

use std::collections::BTreeMap;

use admission::Network;
use apiserver::{Failure, Object, Resource, Scope, list};
use contract::{NadName, kubevirt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;

use crate::doctor::facts::Nad;
use crate::kinds::NADS;

/// What all NADs say. Only their metadata is requested.
///
/// # Errors
/// If they cannot be listed.
pub async fn networks(
    client: &Client,
    resource_annotations: &[String],
) -> Result<BTreeMap<NadName, Network>, Failure> {
    let (api, object) = &within(client, NADS, Scope::AllNamespaces);
    let page = |page| async move { api.list_metadata(&page).await };
    let nads = list(object, ListParams::default(), page).await?;
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
) -> Result<BTreeMap<NadName, Nad>, Failure> {
    let (api, object) = &within(client, NADS, Scope::AllNamespaces);
    let nads = list(object, ListParams::default(), |page| async move { api.list(&page).await }).await?;
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
pub async fn launcher_pods(client: &Client, namespaces: &[String]) -> Result<Vec<Pod>, Failure> {
    let pods = Resource::of::<Pod>();
    let apis: Vec<(Api<Pod>, Object)> = if namespaces.is_empty() {
        vec![(Api::all(client.clone()), pods.within(Scope::AllNamespaces))]
    } else {
        let one = |namespace: &String| {
            (Api::namespaced(client.clone(), namespace), pods.within(Scope::Namespace(namespace.clone())))
        };
        namespaces.iter().map(one).collect()
    };
    let mut found = Vec::new();
    for (api, object) in &apis {
        found.extend(list(object, of_launchers(), |page| async move { api.list(&page).await }).await?);
    }
    Ok(found)
}

/// The virt-launcher pods among all pods.
#[must_use]
pub fn of_launchers() -> ListParams {
    ListParams::default().labels(&format!("{}={}", kubevirt::LAUNCHER_LABEL, kubevirt::LAUNCHER))
}

/// All objects of a kind in a scope.
///
/// # Errors
/// If they cannot be listed.
pub async fn all(client: &Client, resource: Resource, scope: Scope) -> Result<Vec<DynamicObject>, Failure> {
    matching(client, resource, scope, ListParams::default()).await
}

/// Those objects of a kind in a scope that have the labels and fields of `parameters`.
///
/// # Errors
/// If they cannot be listed.
pub async fn matching(
    client: &Client,
    resource: Resource,
    scope: Scope,
    parameters: ListParams,
) -> Result<Vec<DynamicObject>, Failure> {
    let (api, object) = &within(client, resource, scope);
    list(object, parameters, |page| async move { api.list(&page).await }).await
}

/// An object of a list as JSON, with what only the list says of it.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn whole(object: &impl Serialize, resource: Resource) -> serde_json::Result<Value> {
    let mut object = serde_json::to_value(object)?;
    if let Some(fields) = object.as_object_mut() {
        let kind = resource.api_resource();
        fields.insert("apiVersion".to_owned(), kind.api_version.into());
        fields.insert("kind".to_owned(), kind.kind.into());
    }
    Ok(object)
}

fn within(client: &Client, resource: Resource, scope: Scope) -> (Api<DynamicObject>, Object) {
    let kind = resource.api_resource();
    let api = match &scope {
        Scope::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        Scope::Cluster | Scope::AllNamespaces => Api::all_with(client.clone(), &kind),
    };
    (api, resource.within(scope))
}
