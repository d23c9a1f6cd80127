//! Reads a cluster for [`judge`](super::judge).

mod release;

use std::collections::BTreeMap;
use std::time::Duration;

use apiserver::{Failure, Kind, Resource, Scope, list, within};
use contract::{annotation, kubevirt};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations,
};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::Check;
use super::facts::{
    Claim, DeviceClass, Dra, Entry, Facts, KubeVirt, LauncherPod, Machine, Nads, Node as NodeFacts, Offer,
    Probe,
};
use super::judge::may_be_stale;
use crate::cluster;
use crate::kinds::{DEVICE_CLASSES, KUBEVIRTS, RESOURCE_CLAIMS, RESOURCE_SLICES, VMIS};

pub use release::metrics;
use release::{Depth, release};

/// How long the API server may take for the pod that is requested: it waits for webhooks, for one at most 30 seconds.
const PROBE: Duration = Duration::from_secs(60);

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The checks to read for.
    pub checks: Vec<Check>,
    /// The webhook's own registration; without a name, all that are ours by their entries' names.
    pub configuration: Option<String>,
    /// Namespace of the dry run.
    pub probe_namespace: String,
}

impl Settings {
    /// What to read for a check that needs no dry run, of whichever release there is.
    #[must_use]
    pub fn without_probe(check: Check) -> Self {
        Self { checks: vec![check], configuration: None, probe_namespace: String::new() }
    }
}

/// Reads the registrations, and the release that they lead to, as far as the checks need them: how the release decides
/// has to be known before NADs are read. Tells `doing` what it reads.
pub async fn collect_release(
    client: &Client,
    settings: &Settings,
    flags: bool,
    doing: impl Fn(&'static str),
) -> Facts {
    let wants = |checks: &[Check]| checks.iter().any(|check| settings.checks.contains(check));
    let mut facts = Facts::default();
    let needs_release =
        wants(&[Check::Release]) || flags && wants(&[Check::Nad, Check::Resource, Check::Vmi]);
    if needs_release || wants(&[Check::Webhook, Check::Injector, Check::Kubevirt]) {
        doing("reading webhook registrations");
        facts.entries = Some(entries(client, settings.configuration.as_deref()).await);
    }
    if needs_release && let Some(Ok(entries)) = &facts.entries {
        doing("reading the release");
        let depth = if wants(&[Check::Release]) { Depth::Everything } else { Depth::Flags };
        facts.release = release(client, entries, depth).await;
    }
    facts
}

/// Reads what else the checks need of the cluster, and tells `doing` what it reads.
pub async fn collect(
    client: &Client,
    settings: &Settings,
    resource_annotations: &[String],
    mut facts: Facts,
    doing: impl Fn(&'static str),
) -> Facts {
    let wants = |checks: &[Check]| checks.iter().any(|check| settings.checks.contains(check));
    if wants(&[Check::Webhook]) {
        doing("trying a pod that the webhook denies (a dry run)");
        facts.probe = Some(probe(client, &settings.probe_namespace).await);
    }
    if wants(&[Check::Kubevirt]) {
        doing("reading KubeVirts");
        facts.kubevirts = Some(kubevirts(client).await);
    }
    if wants(&[Check::Nad, Check::Resource, Check::Vmi]) {
        doing("reading NetworkAttachmentDefinitions");
        facts.networks = Some(cluster::nads(client, resource_annotations).await.map(Nads));
    }
    if wants(&[Check::Resource, Check::Vmi]) {
        doing("reading nodes");
        facts.nodes = Some(nodes(client).await);
    }
    if wants(&[Check::Resource, Check::Vmi]) {
        doing("reading DeviceClasses");
        facts.dra = Some(dra(client, &doing).await);
    }
    if wants(&[Check::Vmi]) {
        doing("reading VirtualMachineInstances");
        facts.machines = Some(machines(client).await);
    }
    if wants(&[Check::Resource, Check::Vmi]) {
        doing("reading virt-launcher pods");
        facts.pods = Some(pods(client).await);
    }
    if wants(&[Check::Vmi]) && may_be_stale(&facts) {
        doing("reading events of nodes");
        facts.restarts = Some(restarts(client).await);
    }
    facts
}

/// The entries of MutatingWebhookConfigurations that are about pods, and those of ours that are about VMIs; of ours only
/// those of the configuration that is named, if one is.
///
/// # Errors
/// If they cannot be listed.
async fn entries(client: &Client, ours: Option<&str>) -> Result<Vec<Entry>, Failure> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let api = &api;
    let object = Resource::of::<MutatingWebhookConfiguration>().within(Scope::Cluster);
    let page = |page| async move { api.list(&page).await };
    let configurations = list(&object, ListParams::default(), page).await?;
    let mut entries = Vec::new();
    for configuration in configurations {
        let name = configuration.name_any();
        for webhook in configuration.webhooks.unwrap_or_default() {
            let is_about_pods = webhook.rules.iter().flatten().any(is_about_pods);
            let about_vmis = !is_about_pods && webhook.rules.iter().flatten().any(is_about_vmis);
            let entry = entry(&name, &webhook, about_vmis);
            // Another release of ours is not the one that was named.
            let other = entry.is_ours() && ours.is_some_and(|ours| ours != name);
            if !other && (is_about_pods || about_vmis && entry.is_ours()) {
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

fn entry(configuration: &str, webhook: &MutatingWebhook, about_vmis: bool) -> Entry {
    let client = &webhook.client_config;
    let target = match (&client.service, &client.url) {
        (Some(service), _) => format!("Service {}/{}", service.namespace, service.name),
        (None, url) => url.clone().unwrap_or_default(),
    };
    Entry {
        configuration: configuration.to_owned(),
        name: webhook.name.clone(),
        target,
        service: client.service.as_ref().map(|service| (service.namespace.clone(), service.name.clone())),
        bundle: client.ca_bundle.as_ref().map(|bundle| bundle.0.clone()).unwrap_or_default(),
        about_vmis,
        ignores_failure: webhook.failure_policy.as_deref() == Some("Ignore"),
    }
}

fn is_about_pods(rule: &RuleWithOperations) -> bool {
    is_about(rule, "", "pods")
}

fn is_about_vmis(rule: &RuleWithOperations) -> bool {
    is_about(rule, VMIS.group, VMIS.plural)
}

fn is_about(rule: &RuleWithOperations, group: &str, resource: &str) -> bool {
    let has = |list: &Option<Vec<String>>, word: &str| {
        list.iter().flatten().any(|item| item == word || item == "*")
    };
    has(&rule.resources, resource) && has(&rule.api_groups, group) && has(&rule.operations, "CREATE")
}

/// Creates, as a dry run, a pod that our webhook denies whatever networks there are.
async fn probe(client: &Client, namespace: &str) -> Probe {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "sriov-webhook-doctor",
            "labels": {(kubevirt::LAUNCHER_LABEL): kubevirt::LAUNCHER},
            // No network can be called that.
            "annotations": {(annotation::NETWORKS): "-"},
        },
        "spec": {"containers": [{"name": kubevirt::COMPUTE_CONTAINER, "image": "none"}]},
    });
    let Ok(pod) = serde_json::from_value::<Pod>(pod) else {
        return Probe::Hindered { reason: "the pod for the dry run cannot be built".to_owned() };
    };
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let object = Resource::of::<Pod>().within(Scope::Namespace(namespace.to_owned()));
    match within(PROBE, "create", &object, async { Ok(pods.create(&parameters, &pod).await) }).await {
        Ok(Ok(_)) => Probe::Passed { namespace: namespace.to_owned() },
        Ok(Err(kube::Error::Api(status))) => {
            let failure = Failure::of_status("create", object, &status);
            match failure.kind {
                Kind::Foreign { .. } => Probe::Hindered { reason: failure.to_string() },
                _ => said(&status.message),
            }
        }
        Ok(Err(error)) => {
            Probe::Hindered { reason: Failure::of_request("create", object, &error).to_string() }
        }
        Err(failure) => Probe::Hindered { reason: failure.to_string() },
    }
}

/// What the API server's sentence means.
fn said(message: &str) -> Probe {
    let quoted = |before: &str| {
        let (_, rest) = message.split_once(before)?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    if let Some(entry) = quoted("failed calling webhook \"") {
        return Probe::Unanswered { entry, reason: message.to_owned() };
    }
    match quoted("admission webhook \"") {
        Some(entry) => Probe::Refused { entry },
        None => Probe::Hindered { reason: message.to_owned() },
    }
}

async fn nodes(client: &Client) -> Result<Vec<NodeFacts>, Failure> {
    let api: Api<Node> = Api::all(client.clone());
    let api = &api;
    let object = Resource::of::<Node>().within(Scope::Cluster);
    let nodes = list(&object, ListParams::default(), |page| async move { api.list(&page).await });
    Ok(nodes.await?.iter().map(NodeFacts::read).collect())
}

/// The events that kubelets write after a restart of their node. An API server keeps them for an hour.
async fn restarts(client: &Client) -> Result<BTreeMap<String, Timestamp>, Failure> {
    let api: Api<Event> = Api::namespaced(client.clone(), "default");
    let api = &api;
    let parameters = ListParams::default().fields("reason=Rebooted,involvedObject.kind=Node");
    let object = Resource::of::<Event>().within(Scope::Namespace("default".to_owned()));
    let events = list(&object, parameters, |page| async move { api.list(&page).await }).await?;
    let mut restarts: BTreeMap<String, Timestamp> = BTreeMap::new();
    for event in events {
        let time = event.last_timestamp.or(event.first_timestamp).map(|time| time.0);
        let time = time.or(event.event_time.map(|time| time.0));
        if let (Some(node), Some(time)) = (event.involved_object.name, time) {
            let last = restarts.entry(node).or_insert(time);
            *last = time.max(*last);
        }
    }
    Ok(restarts)
}

/// DeviceClasses, and if there are some what drivers offer and claims have.
async fn dra(client: &Client, doing: &impl Fn(&'static str)) -> Result<Dra, Failure> {
    let classes = cluster::all(client, DEVICE_CLASSES, Scope::Cluster).await?;
    if classes.is_empty() {
        return Ok(Dra::default());
    }
    doing("reading ResourceSlices");
    let slices = cluster::all(client, RESOURCE_SLICES, Scope::Cluster).await;
    doing("reading ResourceClaims");
    let claims = cluster::all(client, RESOURCE_CLAIMS, Scope::AllNamespaces).await;
    Ok(Dra {
        classes: classes.iter().map(DeviceClass::read).collect(),
        offer: slices.map(|slices| Offer::read(&slices)),
        claims: claims.map(|claims| claims.iter().filter_map(Claim::read).collect()),
    })
}

async fn kubevirts(client: &Client) -> Result<Vec<KubeVirt>, Failure> {
    let kubevirts = cluster::all(client, KUBEVIRTS, Scope::AllNamespaces).await?;
    let facts = |kubevirt: DynamicObject| {
        let texts = |place: &str| -> Vec<String> {
            let list = kubevirt.data.pointer(place).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        let version = kubevirt.data.pointer("/status/observedKubeVirtVersion").and_then(Value::as_str);
        KubeVirt {
            namespace: kubevirt.namespace().unwrap_or_default(),
            name: kubevirt.name_any(),
            version: version.filter(|version| !version.is_empty()).map(str::to_owned),
            gates: texts("/spec/configuration/developerConfiguration/featureGates"),
            disabled_gates: texts("/spec/configuration/developerConfiguration/disabledFeatureGates"),
        }
    };
    Ok(kubevirts.into_iter().map(facts).collect())
}

async fn machines(client: &Client) -> Result<Vec<Machine>, Failure> {
    let vmis = cluster::all(client, VMIS, Scope::AllNamespaces).await?;
    Ok(vmis.iter().map(Machine::read).collect())
}

async fn pods(client: &Client) -> Result<Vec<LauncherPod>, Failure> {
    Ok(cluster::launcher_pods(client, &[]).await?.iter().map(LauncherPod::read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::refused(
        "admission webhook \"pods.kubevirt-sriov.io\" denied the request: annotation …",
        Probe::Refused { entry: "pods.kubevirt-sriov.io".to_owned() }
    )]
    #[case::another("pods \"x\" is forbidden: exceeded quota", Probe::Hindered { reason: "pods \"x\" is forbidden: exceeded quota".to_owned() })]
    fn sentences_of_the_api_server(#[case] message: &str, #[case] expected: Probe) {
        assert_eq!(said(message), expected);
    }

    #[test]
    fn a_webhook_that_does_not_answer_is_named() {
        let message = "Internal error occurred: failed calling webhook \"pods.kubevirt-sriov.io\": failed to call \
                       webhook: Post \"https://a.b.svc:443/mutate?timeout=5s\": tls: failed to verify certificate: x509: …";
        let Probe::Unanswered { entry, reason } = said(message) else { panic!("{message}") };
        assert_eq!((entry.as_str(), reason.as_str()), ("pods.kubevirt-sriov.io", message));
    }
}
