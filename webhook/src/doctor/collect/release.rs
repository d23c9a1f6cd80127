//! Reads the release behind a registration.

use std::time::SystemTime;

use apiserver::{DEADLINE, Failure, Kind, Object, Resource, Scope, list, within};
use certs::inspect::Details;
use certs::pair;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::api::ListParams;
use kube::{Api, Client};

use crate::doctor::facts::{Counters, Deployment, Entry, Release, Replica, Served};

/// How much of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The Deployment, for its flags.
    Flags,
    /// Pods, metrics and certificate as well.
    Everything,
}

/// The release to which the first of our entries leads; `None` if none leads to a Service.
pub(super) async fn release(client: &Client, entries: &[Entry], depth: Depth) -> Option<Release> {
    let (namespace, name) = entries
        .iter()
        .filter(|entry| entry.is_ours() && !entry.about_vmis)
        .find_map(|entry| entry.service.clone())?;
    let mut release = Release {
        labels: None,
        deployments: Ok(None),
        replicas: Ok(Vec::new()),
        served: None,
        now: SystemTime::now(),
        namespace,
        service: name,
    };
    match selector(client, &release).await {
        Err(failure) => release.deployments = Err(failure),
        Ok(None) => {}
        Ok(Some(labels)) => {
            release.deployments = deployments(client, &release.namespace, &labels).await.map(Some);
            release.labels = Some(labels.clone());
            if depth == Depth::Everything {
                release.replicas = replicas(client, &release, &labels).await;
                let secret = release.deployment().and_then(|deployment| deployment.secret.clone());
                if let Some(secret) = secret {
                    release.served = Some(served(client, &release.namespace, &secret).await);
                }
            }
        }
    }
    Some(release)
}

/// The labels by which the Service selects pods.
async fn selector(client: &Client, release: &Release) -> Result<Option<String>, Failure> {
    let Release { namespace, service, .. } = release;
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let object = Object::named("Service", namespace, service);
    let found = within(DEADLINE, "get", &object, services.get_opt(service)).await?;
    let Some(found) = found else { return Ok(None) };
    let labels = found.spec.and_then(|spec| spec.selector).unwrap_or_default();
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok(Some(labels.join(",")))
}

async fn deployments(client: &Client, namespace: &str, labels: &str) -> Result<Vec<Deployment>, Failure> {
    // Without labels everything of the namespace would be taken for the release.
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let api: Api<apps::Deployment> = Api::namespaced(client.clone(), namespace);
    let api = &api;
    let object = Resource::of::<apps::Deployment>().within(Scope::Namespace(namespace.to_owned()));
    let page = |page| async move { api.list(&page).await };
    let found = list(&object, ListParams::default().labels(labels), page).await?;
    Ok(found.iter().filter_map(Deployment::read).collect())
}

async fn replicas(client: &Client, release: &Release, labels: &str) -> Result<Vec<Replica>, Failure> {
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = &release.namespace;
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let api = &api;
    let object = Resource::of::<Pod>().within(Scope::Namespace(namespace.clone()));
    let page = |page| async move { api.list(&page).await };
    let pods = list(&object, ListParams::default().labels(labels), page).await?;
    let mut replicas: Vec<Replica> = pods.iter().map(Replica::read).collect();
    let port = release.deployment().and_then(|deployment| deployment.admin_port);
    for replica in replicas.iter_mut().filter(|replica| replica.trouble.is_none()) {
        let Some(port) = port else { break };
        let page = counters(client, namespace, &replica.name, port).await;
        let is_forbidden = page.as_ref().is_err_and(Failure::is_forbidden);
        replica.counters = Some(page);
        // The others would be refused for the same reason.
        if is_forbidden {
            break;
        }
    }
    Ok(replicas)
}

/// `/metrics` of a replica, through the API server, which reaches it wherever this program runs.
async fn counters(client: &Client, namespace: &str, pod: &str, port: i32) -> Result<Counters, Failure> {
    let page = metrics(client, namespace, pod, port).await?;
    let counters = Counters::read(&page);
    if counters.is_ours() {
        return Ok(counters);
    }
    let reason = "it is not a page of metrics of sriov-webhook".to_owned();
    Err(Failure::new("get", proxy(namespace, pod), Kind::Unreadable { reason }))
}

/// The page of metrics of a replica.
///
/// # Errors
/// If the API server does not allow it, or does not get it.
pub async fn metrics(client: &Client, namespace: &str, pod: &str, port: i32) -> Result<String, Failure> {
    let object = proxy(namespace, pod);
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
    let request = http::Request::get(path).body(Vec::new());
    let request = request
        .map_err(|error| Failure::new("get", object.clone(), Kind::Refused { reason: error.to_string() }))?;
    within(DEADLINE, "get", &object, client.request_text(request)).await
}

fn proxy(namespace: &str, pod: &str) -> Object {
    Object::named("pods/proxy", namespace, pod)
}

/// The serving certificate. The Secret also holds private keys; none is kept.
async fn served(client: &Client, namespace: &str, name: &str) -> Result<Served, Failure> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let object = Object::named("Secret", namespace, name);
    let secret = within(DEADLINE, "get", &object, secrets.get_opt(name)).await?;
    let pem = match secret {
        None => Err("it does not exist".to_owned()),
        Some(secret) => {
            let pem = secret.data.and_then(|mut data| data.remove("tls.crt")).map(|bytes| bytes.0);
            pem.filter(|pem| !pem.is_empty()).ok_or_else(|| "it has no tls.crt".to_owned())
        }
    };
    let chain = pem.and_then(|pem| pair::chain(&pem).map_err(|error| error.to_string()));
    let leaf = chain.as_ref().ok().and_then(|chain| Details::of(chain.first()?).ok());
    Ok(Served { secret: name.to_owned(), chain, leaf })
}
