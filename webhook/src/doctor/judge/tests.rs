mod dra;
mod machines;
mod release;

use std::collections::{BTreeMap, BTreeSet};

use apiserver::{Failure, Kind, Object, Resource, Scope};
use contract::{NadName, annotation};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Node as KubernetesNode, Pod};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::doctor::State;
use crate::doctor::facts::{KubeVirt, LauncherPod, Machine, Nad, Nads, Node, Probe, Ready};
use crate::doctor::report::write_table;
use crate::kinds::{KUBEVIRTS, NADS, VMIS};

const RESOURCE: &str = "intel.com/sriov_vfio";

fn entry(configuration: &str, name: &str) -> Entry {
    Entry {
        configuration: configuration.to_owned(),
        name: name.to_owned(),
        target: format!("Service {configuration}/{configuration}"),
        service: Some((configuration.to_owned(), configuration.to_owned())),
        bundle: release::authority().certificate_pem().into_bytes(),
        about_vmis: false,
        ignores_failure: false,
    }
}

fn network(resource: &str) -> Nad {
    Nad::read(&[annotation::RESOURCE_NAME.to_owned()], [(annotation::RESOURCE_NAME, resource)], None)
}

/// A list that was refused.
pub(super) fn forbidden<T>(resource: Resource) -> Result<T, Failure> {
    failed(resource, Kind::Forbidden { reason: "no".to_owned() })
}

fn not_served<T>(resource: Resource) -> Result<T, Failure> {
    failed(resource, Kind::NotServed)
}

fn failed<T>(resource: Resource, kind: Kind) -> Result<T, Failure> {
    let object: Object = resource.within(Scope::AllNamespaces);
    Err(Failure::new("list", object, kind))
}

fn nads<const N: usize>(nads: [(NadName, Nad); N]) -> Option<Result<Nads, Failure>> {
    Some(Ok(Nads(BTreeMap::from(nads))))
}

fn nad(name: &str) -> NadName {
    NadName::new("default", name).unwrap()
}

fn node(name: &str, allocatable: &[(&str, u64)]) -> Node {
    let allocatable = allocatable.iter().map(|(resource, count)| ((*resource).to_owned(), *count)).collect();
    Node { name: name.to_owned(), allocatable, ..Node::default() }
}

/// The same node, after it has stopped answering.
fn silent(node: Node) -> Node {
    let since = Some("2026-03-01T08:00:00Z".parse().unwrap());
    Node { ready: Some(Ready { is_true: false, since, reason: "NodeStatusUnknown".to_owned() }), ..node }
}

fn kubevirt(version: &str) -> KubeVirt {
    KubeVirt {
        namespace: "kubevirt".to_owned(),
        name: "kubevirt".to_owned(),
        version: Some(version.to_owned()),
        ..KubeVirt::default()
    }
}

/// A VMI with one interface, `fast`.
fn machine_with(name: &str, interface: &Value, network: &str, status: &Value) -> Machine {
    let mut interface = interface.clone();
    interface["name"] = json!("fast");
    let vmi = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-of-{name}")},
        "spec": {
            "domain": {"devices": {"interfaces": [interface]}},
            "networks": [{"name": "fast", "multus": {"networkName": network}}],
        },
        "status": status,
    });
    Machine::read(&serde_json::from_value(vmi).unwrap())
}

fn machine() -> Machine {
    machine_with("database", &json!({"sriov": {}}), "storage", &json!({"phase": "Running"}))
}

/// A pod of such a VMI; `change` is merged into it.
fn pod_of(machine: &str, networks: &str, limits: &Value, change: &Value) -> LauncherPod {
    let mut pod = json!({
        "metadata": {
            "name": format!("virt-launcher-{machine}-abcde"),
            "namespace": "default",
            "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": format!("uid-of-{machine}")},
            "annotations": {(annotation::NETWORKS): networks},
        },
        "spec": {
            "nodeName": "a",
            "containers": [{"name": "compute", "resources": {"limits": limits, "requests": limits}}],
        },
        "status": {"phase": "Running"},
    });
    json_patch::merge(&mut pod, change);
    LauncherPod::read(&serde_json::from_value(pod).unwrap())
}

fn pod(networks: &str, limits: &Value) -> LauncherPod {
    pod_of("database", networks, limits, &json!({}))
}

/// A cluster in which all is well.
fn well() -> Facts {
    Facts {
        entries: Some(Ok(vec![entry("kubevirt-sriov", "pods.kubevirt-sriov.io")])),
        release: Some(release::running()),
        probe: Some(Probe::Refused { entry: "pods.kubevirt-sriov.io".to_owned() }),
        networks: nads([(nad("storage"), network(RESOURCE)), (nad("plain"), network(""))]),
        nodes: Some(Ok(vec![
            node("a", &[(RESOURCE, 4), ("devices.kubevirt.io/kvm", 1000)]),
            node("b", &[(RESOURCE, 2)]),
        ])),
        kubevirts: Some(Ok(vec![kubevirt("v1.9.0")])),
        machines: Some(Ok(vec![machine()])),
        pods: Some(Ok(vec![pod("storage", &json!({RESOURCE: "1"}))])),
        dra: None,
        restarts: None,
    }
}

fn judged(facts: &Facts) -> Report {
    judge(facts, &Check::ALL, &release::decisions(Options::default()))
}

fn table(report: &Report) -> String {
    let mut text = Vec::new();
    write_table(report, &mut text).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(text).unwrap()).to_string()
}

#[test]
fn a_cluster_in_which_all_is_well() {
    let report = judged(&well());
    assert!(report.healthy);
    insta::assert_snapshot!(table(&report), @r"
    ok       webhook   kubevirt-sriov: pods go to Service kubevirt-sriov/kubevirt-sriov (pods.kubevirt-sriov.io)
    ok       webhook   the API server reaches it and trusts its certificate
    ok       release   Deployment kubevirt-sriov/kubevirt-sriov: 2 of 2 replicas are ready
    ok       release   the replicas are of this program's version
    ok       release   pods are decided by the flags of Deployment kubevirt-sriov/kubevirt-sriov: all have their defaults
    ok       release   the serving certificate in Secret kubevirt-sriov/tls is valid until 2024-12-23T00:00:00Z
    ok       release   replica hook-1 since its start: 7 reviews, 0 denials; no errors
    ok       release   replica hook-2 since its start: 7 reviews, 0 denials; no errors
    ok       injector  no other injector of SR-IOV resources
    ok       kubevirt  kubevirt/kubevirt: v1.9.0 leaves VFs to a webhook
    ok       nad       2 valid, 1 of them name a resource
    ok       resource  intel.com/sriov_vfio: 6 on 2 nodes; named by default/storage
    ok       vmi       1 of 1 VMI with networks that need devices hold them; of 1 Multus has not yet said what it attached

    All is well.
    ");
}

#[test]
fn a_cluster_in_which_little_is() {
    let mut facts = well();
    facts.entries = Some(Ok(vec![entry("network-resources-injector-config", "injector.k8s.cni.cncf.io")]));
    facts.probe = Some(Probe::Passed { namespace: "default".to_owned() });
    facts.networks = nads([(nad("storage"), network(RESOURCE)), (nad("wrong"), network("not a resource"))]);
    facts.nodes = Some(Ok(vec![node("a", &[("intel.com/other", 4)])]));
    facts.pods = Some(Ok(vec![pod("storage", &json!({}))]));
    let report = judged(&facts);
    assert!(!report.healthy);
    insta::assert_snapshot!(table(&report));
}

/// What one change makes of a cluster in which all is well: the only finding that is not ok.
#[rstest]
#[case::no_bundle(
    |facts: &mut Facts| facts.entries = Some(Ok(vec![Entry { bundle: Vec::new(), ..entry("sriov", "pods.kubevirt-sriov.io") }])),
    Check::Webhook, State::Wrong, Code::WebhookCaMissing, "no caBundle"
)]
#[case::failure_policy(
    |facts: &mut Facts| facts.entries = Some(Ok(vec![Entry { ignores_failure: true, ..entry("sriov", "pods.kubevirt-sriov.io") }])),
    Check::Webhook, State::Warning, Code::WebhookFailurePolicyIgnore, "failurePolicy is Ignore"
)]
#[case::two_releases(
    |facts: &mut Facts| facts.entries = Some(Ok(vec![entry("a", "pods.kubevirt-sriov.io"), entry("b", "pods.kubevirt-sriov.io")])),
    Check::Webhook, State::Warning, Code::WebhookRegisteredTwice, "2 registrations"
)]
#[case::not_trusted(
    |facts: &mut Facts| facts.probe = Some(Probe::Unanswered {
        entry: "pods.kubevirt-sriov.io".to_owned(), reason: "tls: failed to verify certificate: x509: …".to_owned() }),
    Check::Webhook, State::Wrong, Code::WebhookCertificateNotTrusted, "does not trust its certificate"
)]
#[case::not_reached(
    |facts: &mut Facts| facts.probe = Some(Probe::Unanswered {
        entry: "pods.kubevirt-sriov.io".to_owned(), reason: "dial tcp 10.96.0.7:443: connection refused".to_owned() }),
    Check::Webhook, State::Wrong, Code::WebhookNotReached, "does not reach it"
)]
#[case::another_refuses(
    |facts: &mut Facts| facts.probe = Some(Probe::Refused { entry: "policy.example.com".to_owned() }),
    Check::Webhook, State::Unknown, Code::WebhookAnswerUnknown, "is not known: webhook policy.example.com"
)]
#[case::may_not_ask(
    |facts: &mut Facts| facts.probe = Some(Probe::Hindered { reason: "pods is forbidden".to_owned() }),
    Check::Webhook, State::Unknown, Code::WebhookAnswerUnknown, "is not known: pods is forbidden"
)]
#[case::another_injector(
    |facts: &mut Facts| facts.entries = Some(Ok(vec![
        entry("kubevirt-sriov", "pods.kubevirt-sriov.io"),
        entry("network-resources-injector-config", "injector.k8s.cni.cncf.io"),
    ])),
    Check::Injector, State::Warning, Code::InjectorCompeting, "enableInjector"
)]
#[case::no_kubevirt(
    |facts: &mut Facts| facts.kubevirts = Some(not_served(KUBEVIRTS)),
    Check::Kubevirt, State::Wrong, Code::KubevirtMissing, "not installed"
)]
#[case::kubevirt_on_its_way(
    |facts: &mut Facts| facts.kubevirts = Some(Ok(vec![KubeVirt { version: None, ..kubevirt("") }])),
    Check::Kubevirt, State::Unknown, Code::KubevirtVersionUnknown, "no version yet"
)]
#[case::no_multus_for_networks(
    |facts: &mut Facts| { facts.networks = Some(not_served(NADS));
              facts.nodes = None; facts.machines = Some(Ok(Vec::new())); facts.pods = Some(Ok(Vec::new())); },
    Check::Nad, State::Wrong, Code::MultusMissing, "install Multus"
)]
#[case::an_invalid_network(
    |facts: &mut Facts| facts.networks = nads([(nad("storage"), network(RESOURCE)), (nad("bad"), network("a b"))]),
    Check::Nad, State::Wrong, Code::NadAnnotationInvalid, "default/bad: its annotation k8s.v1.cni.cncf.io/resourceName"
)]
#[case::nobody_advertises(
    |facts: &mut Facts| facts.nodes = Some(Ok(vec![node("a", &[("devices.kubevirt.io/kvm", 1000)])])),
    Check::Resource, State::Wrong, Code::ResourceNotAdvertised, "no node advertises it"
)]
#[case::none_left(
    |facts: &mut Facts| facts.nodes = Some(Ok(vec![node("a", &[(RESOURCE, 0)])])),
    Check::Resource, State::Wrong, Code::ResourceWithoutDevices, "0 on 1 node"
)]
#[case::a_node_is_silent(
    |facts: &mut Facts| facts.nodes = Some(Ok(vec![silent(node("a", &[(RESOURCE, 4)])), node("b", &[(RESOURCE, 2)])])),
    Check::Resource, State::Warning, Code::NodeNotReady,
    "node a is not ready since 2026-03-01T08:00:00Z (NodeStatusUnknown): no pod can get its 4 intel.com/sriov_vfio"
)]
#[case::all_nodes_are_silent(
    |facts: &mut Facts| facts.nodes = Some(Ok(vec![silent(node("a", &[(RESOURCE, 4)]))])),
    Check::Resource, State::Wrong, Code::ResourceNodesNotReady, "intel.com/sriov_vfio: 4 on 1 node, and none of them is ready; named by default/storage"
)]
#[case::devices_have_gone(
    |facts: &mut Facts| facts.pods = Some(Ok((0..5).map(|index| LauncherPod {
        name: format!("launcher-{index}"),
        ..pod("storage", &json!({RESOURCE: "1"}))
    }).collect())),
    Check::Resource, State::Wrong, Code::DevicesLost,
    "intel.com/sriov_vfio: virtual machines on node a hold 5, and it advertises 4: devices have gone since they started"
)]
#[case::all_taken(
    |facts: &mut Facts| {
        facts.nodes = Some(Ok(vec![node("a", &[(RESOURCE, 1)])]));
        let holds = pod("storage", &json!({RESOURCE: "1"}));
        let waits = LauncherPod {
            name: "late".to_owned(),
            created_by: "5678".to_owned(),
            node: None,
            unschedulable: Some("0/1 nodes are available: 1 Insufficient intel.com/sriov_vfio.".to_owned()),
            ..pod("storage", &json!({RESOURCE: "1"}))
        };
        facts.pods = Some(Ok(vec![holds, waits]));
    },
    Check::Resource, State::Warning, Code::ResourceExhausted,
    "intel.com/sriov_vfio: 1 pod waits for it: default/late; virtual machines hold 1 of 1 on a; named by default/storage"
)]
#[case::pods_may_not_be_listed(
    |facts: &mut Facts| facts.pods = Some(forbidden(Resource::of::<Pod>())),
    Check::Resource, State::Unknown, Code::CannotRead, "not allowed to list pods in all namespaces (the API server says: no)"
)]
#[case::no_network_names_it(
    |facts: &mut Facts| facts.nodes = Some(Ok(vec![node("a", &[(RESOURCE, 1), ("intel.com/other", 3)])])),
    Check::Resource, State::Warning, Code::ResourceUnused, "intel.com/other: 3 on 1 node, and no NAD names it"
)]
#[case::nodes_may_not_be_listed(
    |facts: &mut Facts| facts.nodes = Some(forbidden(Resource::of::<KubernetesNode>())),
    Check::Resource, State::Unknown, Code::CannotRead, "not allowed to list nodes in all namespaces (the API server says: no)"
)]
#[case::a_pod_without_its_vf(
    |facts: &mut Facts| facts.pods = Some(Ok(vec![pod("storage, storage", &json!({RESOURCE: "1"}))])),
    Check::Vmi, State::Wrong, Code::DeviceMissing, "holds 1 of 2 intel.com/sriov_vfio"
)]
#[case::a_network_that_is_gone(
    |facts: &mut Facts| facts.pods = Some(Ok(vec![pod("gone", &json!({}))])),
    Check::Vmi, State::Wrong, Code::PodDenied, "would be denied today: annotation k8s.v1.cni.cncf.io/networks: element 1"
)]
#[case::no_pod(
    |facts: &mut Facts| facts.pods = Some(Ok(Vec::new())),
    Check::Vmi, State::Warning, Code::VmiWithoutPod, "has no pod"
)]
#[case::no_node(
    |facts: &mut Facts| facts.pods = Some(Ok(vec![LauncherPod {
        unschedulable: Some("0/3 nodes are available: 3 Insufficient memory.".to_owned()),
        ..pod("storage", &json!({RESOURCE: "1"}))
    }])),
    Check::Vmi, State::Warning, Code::PodUnschedulable, "has no node: 0/3 nodes"
)]
fn one_thing_is_not_well(
    #[case] change: fn(&mut Facts),
    #[case] check: Check,
    #[case] state: State,
    #[case] code: Code,
    #[case] text: &str,
) {
    let mut facts = well();
    change(&mut facts);
    let report = judged(&facts);
    let findings: Vec<_> = report.findings.iter().filter(|finding| finding.state != State::Ok).collect();
    // Who looks at resources and VMIs needs NADs as well, and says so again.
    let [finding, ..] = findings[..] else { panic!("all is well:\n{}", table(&report)) };
    assert_eq!(
        (finding.check, finding.state, finding.code),
        (check, state, Some(code)),
        "{}",
        table(&report)
    );
    let said = format!("{} {}", finding.found, finding.remedy.as_deref().unwrap_or_default());
    assert!(said.contains(text), "{said}");
    assert_eq!(report.healthy, state == State::Warning);
}

#[rstest]
#[case::long_ago("v0.59.2", &[], &[], "requests VFs itself")]
#[case::before_the_gate("v1.7.3", &[], &[], "requests VFs itself")]
#[case::off_by_default("v1.8.0", &[], &[], "requests VFs itself")]
#[case::switched_on("v1.8.0", &["ExternalNetResourceInjection"], &[], "leaves VFs to a webhook")]
#[case::on_by_default("v1.9.0-rc.1", &[], &[], "leaves VFs to a webhook")]
#[case::switched_off("v1.9.2", &[], &["ExternalNetResourceInjection"], "requests VFs itself")]
#[case::gate_gone("v1.10.0", &[], &["ExternalNetResourceInjection"], "leaves VFs to a webhook")]
#[case::gate_long_gone("v2.0.0", &[], &["ExternalNetResourceInjection"], "leaves VFs to a webhook")]
#[case::odd("devel", &[], &[], "is not understood")]
fn versions(#[case] version: &str, #[case] on: &[&str], #[case] off: &[&str], #[case] text: &str) {
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let mut facts = well();
    facts.kubevirts =
        Some(Ok(vec![KubeVirt { gates: texts(on), disabled_gates: texts(off), ..kubevirt(version) }]));
    let report = judge(&facts, &[Check::Kubevirt], &release::decisions(Options::default()));
    let found: Vec<_> = report.findings.iter().map(|finding| finding.found.as_str()).collect();
    assert!(found.len() == 1 && found[0].contains(text), "{found:?}");
}

#[rstest]
#[case::switched_on("v1.8.1", Some("featureGates"))]
#[case::by_default("v1.9.0", Some("disabledFeatureGates"))]
#[case::no_way_back("v1.10.0", None)]
#[case::much_later("v2.0.0", None)]
fn a_kubevirt_that_relies_on_a_webhook_that_is_not_there_is_the_worst(
    #[case] version: &str,
    #[case] way_back: Option<&str>,
) {
    let mut facts = well();
    facts.entries = Some(Ok(Vec::new()));
    let gates = vec!["ExternalNetResourceInjection".to_owned()];
    facts.kubevirts = Some(Ok(vec![KubeVirt { gates, ..kubevirt(version) }]));
    let report = judge(&facts, &[Check::Kubevirt], &release::decisions(Options::default()));
    assert!(report.findings[0].found.contains("virtual machines start without their VFs"), "{report:?}");
    assert!(!report.healthy);
    let remedy = report.findings[0].remedy.as_deref().unwrap();
    let offered = remedy.rsplit_once("developerConfiguration.").and_then(|(_, rest)| rest.split(' ').next());
    assert_eq!(offered, way_back, "{remedy}");
}

#[test]
fn a_pod_with_the_helper_is_well_whatever_its_image() {
    let mut facts = well();
    let mut with_helper = pod("storage", &json!({RESOURCE: "1"}));
    with_helper.pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!("sidecar");
    let compute = &mut with_helper.pod["spec"]["containers"];
    compute[0]["command"] = json!(["/usr/bin/virt-launcher-monitor", "--hook-sidecars", "1"]);
    with_helper.pod["spec"]["initContainers"] = json!([{"name": "launcher-hook", "restartPolicy": "Always"}]);
    facts.pods = Some(Ok(vec![with_helper]));
    let report = judged(&facts);
    assert!(report.healthy, "{}", table(&report));
}

#[test]
fn what_may_not_be_seen_is_neither_well_nor_wrong() {
    let facts = Facts {
        entries: Some(forbidden(Resource::of::<MutatingWebhookConfiguration>())),
        release: None,
        probe: Some(Probe::Hindered { reason: "pods is forbidden".to_owned() }),
        networks: Some(forbidden(NADS)),
        nodes: Some(forbidden(Resource::of::<KubernetesNode>())),
        kubevirts: Some(Ok(vec![kubevirt("v1.9.0")])),
        machines: Some(forbidden(VMIS)),
        pods: Some(forbidden(Resource::of::<Pod>())),
        dra: None,
        restarts: None,
    };
    let report = judged(&facts);
    assert!(!report.healthy);
    let states: BTreeSet<_> = report.findings.iter().map(|finding| finding.state).collect();
    assert_eq!(states, BTreeSet::from([State::Unknown]), "{}", table(&report));
    let checks: BTreeSet<_> = report.findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, BTreeSet::from(Check::ALL));
    assert!(
        table(&report).ends_with("\nNothing wrong was seen; 8 things could not be seen.\n"),
        "{}",
        table(&report)
    );
}

#[test]
fn what_was_not_asked_for_is_not_said() {
    let report = judge(&well(), &[Check::Nad], &release::decisions(Options::default()));
    assert_eq!(report.findings.iter().map(|finding| finding.check).collect::<Vec<_>>(), [Check::Nad]);
}
