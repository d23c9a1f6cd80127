//! Reads the parts of a dump.

use apiserver::{DEADLINE, Failure, Object, Resource, Scope, within};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client};
use serde_json::Value;

use super::Bundle;
use super::mask::mask;
use super::redact;
use crate::cluster;
use crate::doctor::collect::metrics;
use crate::doctor::facts::{OUR_DOMAIN, Release};
use crate::kinds::{KUBEVIRTS, NADS, VMIS};

/// The container that serves, as the chart names it.
const CONTAINER: &str = "webhook";

/// What is read beside the report of doctor.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Lines of the log of each replica.
    pub log_lines: i64,
}

/// The objects of the release: each is found by the labels of its Service.
const OF_RELEASE: [(&str, Resource); 9] = [
    ("deployments", Resource::of::<Deployment>()),
    ("replicasets", Resource::of::<ReplicaSet>()),
    ("pods", Resource::of::<Pod>()),
    ("services", Resource::of::<Service>()),
    ("endpointslices", Resource::of::<EndpointSlice>()),
    ("configmaps", Resource::of::<ConfigMap>()),
    ("poddisruptionbudgets", Resource::of::<PodDisruptionBudget>()),
    ("networkpolicies", Resource::of::<NetworkPolicy>()),
    ("horizontalpodautoscalers", Resource::of::<HorizontalPodAutoscaler>()),
];

/// Reads everything, and tells `doing` what it reads. What cannot be read is noted in the bundle.
pub async fn collect(
    client: &Client,
    release: Option<&Release>,
    settings: &Settings,
    doing: impl Fn(&'static str),
) -> Bundle {
    let mut bundle = Bundle::default();
    doing("reading registrations");
    let registrations = [
        ("registrations/mutating.json", Resource::of::<MutatingWebhookConfiguration>()),
        ("registrations/validating.json", Resource::of::<ValidatingWebhookConfiguration>()),
    ];
    for (path, resource) in registrations {
        add(
            &mut bundle,
            path,
            all(client, resource, &Scope::Cluster, ListParams::default()).await,
            |object| is_our_registration(object).then(|| redact::object(object.clone())),
        );
    }
    match release {
        Some(release) => of_release(client, release, settings, &mut bundle, &doing).await,
        None => bundle.miss("release/: no release is registered by a Service"),
    }
    doing("reading networks and nodes");
    let everywhere = Scope::AllNamespaces;
    let every = ListParams::default;
    add(&mut bundle, "networks/nads.json", all(client, NADS, &everywhere, every()).await, |nad| {
        Some(redact::nad(nad))
    });
    let nodes = all(client, Resource::of::<Node>(), &Scope::Cluster, every()).await;
    add(&mut bundle, "nodes.json", nodes, |node| Some(redact::node(node)));
    doing("reading virtual machines");
    let kubevirts = all(client, KUBEVIRTS, &everywhere, every()).await;
    add(&mut bundle, "kubevirts.json", kubevirts, |kubevirt| Some(redact::object(kubevirt.clone())));
    let vmis = all(client, VMIS, &everywhere, every()).await;
    add(&mut bundle, "machines/vmis.json", vmis, |vmi| has_networks(vmi).then(|| redact::machine(vmi)));
    let pods = all(client, Resource::of::<Pod>(), &everywhere, cluster::of_launchers()).await;
    add(&mut bundle, "machines/pods.json", pods, |pod| {
        selects_networks(pod).then(|| redact::launcher_pod(pod))
    });
    let of_vmis = every().fields("involvedObject.kind=VirtualMachineInstance");
    let events = all(client, Resource::of::<Event>(), &everywhere, of_vmis).await;
    add(&mut bundle, "machines/events.json", events, |event| Some(redact::object(event.clone())));
    bundle
}

async fn of_release(
    client: &Client,
    release: &Release,
    settings: &Settings,
    bundle: &mut Bundle,
    doing: &impl Fn(&'static str),
) {
    doing("reading the release");
    let namespace = &release.namespace;
    let scope = Scope::Namespace(namespace.clone());
    if let Some(labels) = release.labels.as_deref().filter(|labels| !labels.is_empty()) {
        for (name, resource) in OF_RELEASE {
            let found = all(client, resource, &scope, ListParams::default().labels(labels)).await;
            add(bundle, &format!("release/{name}.json"), found, |object| {
                Some(redact::object(object.clone()))
            });
        }
    } else {
        bundle.miss(format!("release/: Service {namespace}/{} selects nothing", release.service));
    }
    let events = all(client, Resource::of::<Event>(), &scope, ListParams::default()).await;
    add(bundle, "release/events.json", events, |event| Some(redact::object(event.clone())));
    doing("reading logs and metrics of the replicas");
    let replicas = match &release.replicas {
        Ok(replicas) => replicas.as_slice(),
        Err(failure) => {
            bundle.miss(format!("release/logs, release/metrics: {failure}"));
            &[]
        }
    };
    let port = release.deployment().and_then(|deployment| deployment.admin_port);
    for replica in replicas {
        let name = &replica.name;
        for (previous, path) in [(false, format!("{name}.log")), (true, format!("{name}.previous.log"))] {
            // Only one that was restarted has a previous log.
            if previous && replica.restarts == 0 {
                continue;
            }
            match log(client, namespace, name, previous, settings.log_lines).await {
                Ok(text) => bundle.text(format!("release/logs/{path}"), mask(&text)),
                Err(failure) => bundle.miss(format!("release/logs/{path}: {failure}")),
            }
        }
        let path = format!("release/metrics/{name}.txt");
        match port {
            None => bundle.miss(format!("{path}: no container of the Deployment names a port metrics")),
            Some(port) => match metrics(client, namespace, name, port).await {
                Ok(page) => bundle.text(path, mask(&page)),
                Err(failure) => bundle.miss(format!("{path}: {failure}")),
            },
        }
    }
}

async fn log(
    client: &Client,
    namespace: &str,
    pod: &str,
    previous: bool,
    lines: i64,
) -> Result<String, Failure> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let parameters = LogParams {
        container: Some(CONTAINER.to_owned()),
        previous,
        tail_lines: Some(lines),
        timestamps: true,
        ..LogParams::default()
    };
    let object = Object::named("pods/log", namespace, pod);
    within(DEADLINE, "get", &object, pods.logs(pod, &parameters)).await
}

/// All objects of a kind, each as JSON with its kind.
async fn all(
    client: &Client,
    resource: Resource,
    scope: &Scope,
    parameters: ListParams,
) -> Result<Vec<Value>, Failure> {
    let found = cluster::matching(client, resource, scope.clone(), parameters).await?;
    // An object that came as JSON can be written as JSON.
    Ok(found.iter().map(|object| cluster::whole(object, resource).unwrap_or_default()).collect())
}

/// Adds a list as `keep` leaves each of its objects.
fn add(
    bundle: &mut Bundle,
    path: &str,
    found: Result<Vec<Value>, Failure>,
    keep: impl Fn(&Value) -> Option<Value>,
) {
    match found {
        Ok(objects) => bundle.json(path, &objects.iter().filter_map(keep).collect::<Vec<_>>()),
        Err(failure) => bundle.miss(format!("{path}: {failure}")),
    }
}

fn is_our_registration(configuration: &Value) -> bool {
    let webhooks = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    webhooks.filter_map(|webhook| webhook.get("name")?.as_str()).any(|name| name.ends_with(OUR_DOMAIN))
}

/// Whether a VMI has a network of Multus or an interface that is a VF.
fn has_networks(vmi: &Value) -> bool {
    let list = |place: &str| vmi.pointer(place).and_then(Value::as_array).into_iter().flatten();
    list("/spec/networks").any(|network| network.get("multus").is_some())
        || list("/spec/domain/devices/interfaces").any(|interface| interface.get("sriov").is_some())
}

fn selects_networks(pod: &Value) -> bool {
    let annotations = pod.pointer("/metadata/annotations");
    annotations.is_some_and(|annotations| annotations.get(contract::annotation::NETWORKS).is_some())
}
