//! What doctor says of virtual machines whose networks need devices, whatever their binding.

use k8s_openapi::api::core::v1::Event;

use super::*;

const BLUE: &str = "example.com/blue";
const TAP: &str = "macvtap.network.kubevirt.io/bond0";

/// A NAD with these annotations and this CNI plugin.
fn with(annotations: &[(&str, &str)], plugin: &str) -> Nad {
    let config = json!({"cniVersion": "0.3.1", "type": plugin}).to_string();
    Nad::read(&[annotation::RESOURCE_NAME.to_owned()], annotations.iter().copied(), Some(&config))
}

/// What is found about VMIs and NADs that is not well.
fn odd(facts: &Facts) -> String {
    let report = judge(facts, &[Check::Nad, Check::Vmi], &release::decisions(Options::default()));
    let lines = report.findings.iter().filter(|finding| finding.state != State::Ok);
    lines
        .map(|finding| {
            let Finding { state, check, code, object, found, .. } = finding;
            assert!(
                object.is_some() || *check == Check::Vmi && *code == Some(Code::CannotRead),
                "{finding:?}"
            );
            format!("{} {} {}: {found}\n", state.as_str(), check.as_str(), code.unwrap())
        })
        .collect()
}

/// A cluster with one VMI, `guest`, and one pod of it.
fn one(interface: &Value, status: &Value, limits: &Value, change: &Value) -> Facts {
    let machine = machine_with("guest", interface, "blue", status);
    let pod = pod_of("guest", "blue", limits, change);
    Facts {
        networks: nads([(nad("blue"), with(&[(annotation::RESOURCE_NAME, BLUE)], "sriov"))]),
        machines: Some(Ok(vec![machine])),
        pods: Some(Ok(vec![pod])),
        nodes: Some(Ok(vec![node("a", &[(BLUE, 4)])])),
        ..Facts::default()
    }
}

#[test]
fn five_of_six_without_their_device() {
    let sriov = || json!({"sriov": {}});
    let sidecar = json!({"spec": {"containers": [
        {"name": "mesh", "resources": {"limits": {BLUE: "1"}}},
        {"name": "compute"},
    ]}});
    let running = || json!({"phase": "Running"});
    let facts = Facts {
        networks: nads([
            (nad("blue"), with(&[(annotation::RESOURCE_NAME, BLUE)], "sriov")),
            (nad("bare"), with(&[], "sriov")),
            (nad("slip"), with(&[("k8s.v1.cni.cncf.io/resource-name", BLUE)], "sriov")),
            (nad("tap"), with(&[(annotation::RESOURCE_NAME, TAP)], "macvtap")),
        ]),
        machines: Some(Ok(vec![
            machine_with("fine", &sriov(), "blue", &running()),
            machine_with("meshed", &sriov(), "blue", &running()),
            machine_with("bare", &sriov(), "bare", &running()),
            machine_with("slip", &sriov(), "slip", &running()),
            machine_with("tap", &json!({"macvtap": {}}), "tap", &running()),
            machine_with("plugged", &json!({"binding": {"name": "hostdev"}}), "blue", &running()),
        ])),
        pods: Some(Ok(vec![
            pod_of("fine", "blue", &json!({BLUE: "1"}), &json!({})),
            pod_of("meshed", "blue", &json!({}), &sidecar),
            pod_of("bare", "bare", &json!({}), &json!({})),
            pod_of("slip", "slip", &json!({}), &json!({})),
            pod_of("tap", "tap", &json!({}), &json!({})),
            pod_of("plugged", "blue", &json!({}), &json!({})),
        ])),
        nodes: Some(Ok(vec![node("a", &[(BLUE, 4), (TAP, 100)])])),
        ..Facts::default()
    };
    insta::assert_snapshot!(odd(&facts), @r"
    WRONG vmi device-elsewhere: default/meshed: pod virt-launcher-meshed-abcde: container mesh holds example.com/blue, compute does not
    WRONG vmi nad-without-resource: default/bare: interface fast is sriov, but NAD default/bare names no resource
    WRONG vmi nad-without-resource: default/slip: interface fast is sriov, but NAD default/slip names no resource; default/slip has the annotation k8s.v1.cni.cncf.io/resource-name: did you mean k8s.v1.cni.cncf.io/resourceName?
    WRONG vmi device-missing: default/tap: pod virt-launcher-tap-abcde holds 0 of 1 macvtap.network.kubevirt.io/bond0
    WRONG vmi device-missing: default/plugged: pod virt-launcher-plugged-abcde holds 0 of 1 example.com/blue
    ");
    let report = judge(&facts, &[Check::Vmi], &release::decisions(Options::default()));
    assert!(!report.healthy);
    insta::assert_snapshot!(report.findings[0].found, @"1 of 6 VMIs with networks that need devices hold them; of 1 Multus has not yet said what it attached");
}

#[test]
fn a_nad_that_no_virtual_machine_uses_is_looked_at_all_the_same() {
    let facts = Facts {
        networks: nads([
            (nad("bare"), with(&[], "sriov")),
            (nad("slip"), with(&[("resourceName", BLUE)], "bridge")),
            (nad("plain"), with(&[], "bridge")),
            (nad("broken"), Nad::read(&[], [], Some("{"))),
        ]),
        machines: Some(Ok(Vec::new())),
        pods: Some(Ok(Vec::new())),
        ..Facts::default()
    };
    insta::assert_snapshot!(odd(&facts), @r"
    warning nad nad-without-resource: default/bare: its CNI plugin configures a VF, but it names no resource with VFs
    WRONG nad nad-config-invalid: default/broken: its spec.config is not JSON (EOF while parsing an object at line 1 column 1)
    warning nad nad-annotation-misspelt: default/slip: annotation resourceName is ignored: did you mean k8s.v1.cni.cncf.io/resourceName?
    ");
}

#[rstest]
#[case::attached(
    json!([{"name": "podnet", "interface": "eth0", "default": true}, {"name": "default/blue", "interface": "net1"}]),
    None
)]
#[case::not_listed(
    json!([{"name": "podnet", "interface": "eth0", "default": true}]),
    Some("WRONG vmi network-not-attached: default/guest: pod virt-launcher-guest-abcde: Multus attached nothing for NAD default/blue")
)]
#[case::only_another(
    json!([{"name": "default/green", "interface": "net1"}]),
    Some("WRONG vmi network-not-attached: default/guest: pod virt-launcher-guest-abcde: Multus attached nothing for NAD default/blue")
)]
#[case::unreadable(
    json!("soon"),
    Some("unknown vmi network-status-unreadable: default/guest: pod virt-launcher-guest-abcde: k8s.v1.cni.cncf.io/network-status cannot be read")
)]
fn what_multus_says(#[case] status: Value, #[case] expected: Option<&str>) {
    let change = json!({"metadata": {"annotations": {(annotation::NETWORK_STATUS): status.to_string()}}});
    let said = odd(&one(&json!({"sriov": {}}), &json!({"phase": "Running"}), &json!({BLUE: "1"}), &change));
    match expected {
        None => assert_eq!(said, ""),
        Some(expected) => assert!(said.starts_with(expected), "{said}"),
    }
}

fn compute_since(time: &str) -> Value {
    json!([{"name": "compute", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": time}}}])
}

#[test]
fn multus_that_said_nothing_of_a_running_pod_attached_nothing() {
    let change = json!({"status": {"containerStatuses": compute_since("2026-03-01T08:00:05Z")}});
    let said = odd(&one(&json!({"sriov": {}}), &json!({"phase": "Running"}), &json!({BLUE: "1"}), &change));
    insta::assert_snapshot!(said, @"WRONG vmi network-not-attached: default/guest: pod virt-launcher-guest-abcde runs, and Multus has not written k8s.v1.cni.cncf.io/network-status: it attached nothing");
}

#[rstest]
#[case::in_the_domain(json!([{"name": "fast", "infoSource": "domain, multus-status"}]), "")]
#[case::attached_alone(json!([{"name": "fast", "infoSource": "multus-status"}]),
    "WRONG vmi device-not-in-domain: default/guest: network fast has no device in the running domain: status.interfaces does not say so\n")]
#[case::not_reported(json!([{"name": "other", "infoSource": "domain"}]),
    "WRONG vmi device-not-in-domain: default/guest: network fast has no device in the running domain: status.interfaces does not say so\n")]
#[case::nothing_reported(json!([]), "")]
fn what_kubevirt_says(#[case] interfaces: Value, #[case] expected: &str) {
    let status = json!({"phase": "Running", "interfaces": interfaces});
    assert_eq!(odd(&one(&json!({"sriov": {}}), &status, &json!({BLUE: "1"}), &json!({}))), expected);
}

#[test]
fn network_info_without_a_device_and_why_the_domain_is_not_made() {
    let attached = json!([{"name": "default/blue", "interface": "net1"}]).to_string();
    let info = json!({"interfaces": [{"network": "fast"}]}).to_string();
    let change = json!({
        "metadata": {"annotations": {(annotation::NETWORK_STATUS): attached, "kubevirt.io/network-info": info}},
        "status": {"containerStatuses": compute_since("2026-03-01T08:00:05Z")},
    });
    let conditions = json!([{"type": "Synchronized", "status": "False", "message": "no device\nfor fast"}]);
    let status = json!({"phase": "Scheduled", "conditions": conditions});
    let said = odd(&one(&json!({"sriov": {}}), &status, &json!({BLUE: "1"}), &change));
    insta::assert_snapshot!(said, @r"
    warning vmi network-info-without-device: default/guest: pod virt-launcher-guest-abcde: kubevirt.io/network-info has no device for network fast
    WRONG vmi vmi-not-synchronized: default/guest: KubeVirt says: no device for fast
    ");
}

#[rstest]
#[case::gone_nad(json!({"sriov": {}}), "red", "WRONG vmi vmi-without-pod: default/guest: has no pod: NAD default/red does not exist\n")]
#[case::of_a_plugin(json!({"binding": {"name": "x"}}), "red", "WRONG vmi vmi-without-pod: default/guest: has no pod: NAD default/red does not exist\n")]
#[case::nad_that_is_there(json!({"sriov": {}}), "blue", "warning vmi vmi-without-pod: default/guest: has no pod\n")]
#[case::no_name(json!({"bridge": {}}), "a/b/c", "WRONG vmi vmi-without-pod: default/guest: has no pod: network fast names no NAD\n")]
fn without_a_pod(#[case] interface: Value, #[case] network: &str, #[case] expected: &str) {
    let mut facts = one(&json!({"sriov": {}}), &json!({}), &json!({}), &json!({}));
    facts.machines = Some(Ok(vec![machine_with("guest", &interface, network, &json!({"phase": "Pending"}))]));
    facts.pods = Some(Ok(Vec::new()));
    assert_eq!(odd(&facts), expected);
}

#[test]
fn a_network_that_came_after_the_pod() {
    let mut facts = one(&json!({"sriov": {}}), &json!({"phase": "Running"}), &json!({}), &json!({}));
    facts.pods = Some(Ok(vec![pod_of("guest", "", &json!({}), &json!({}))]));
    insta::assert_snapshot!(odd(&facts), @"warning vmi network-not-selected: default/guest: pod virt-launcher-guest-abcde does not select NAD default/blue of network fast: it was added after the pod was made");
}

#[test]
fn what_the_webhook_warns_of_is_not_well() {
    let mut facts = one(&json!({"sriov": {}}), &json!({"phase": "Running"}), &json!({}), &json!({}));
    facts.networks = nads([]);
    let options = Options { on_unresolved: admission::Unresolved::Warn, ..Options::default() };
    let report = judge(&facts, &[Check::Vmi], &release::decisions(options));
    let odd: Vec<_> = report.findings.iter().filter(|finding| finding.state == State::Warning).collect();
    assert_eq!(odd.len(), 1, "{report:?}");
    assert!(odd[0].found.contains("NetworkAttachmentDefinition default/blue does not exist"), "{report:?}");
}

#[rstest]
#[case::of_the_nad(&[("kubevirt-sriov.io/device-source", "resource-claim")], json!({}))]
#[case::of_the_pod(&[], json!({"metadata": {"annotations": {"kubevirt-sriov.io/ignore-networks": "*"}}}))]
fn devices_from_elsewhere_are_not_missed(#[case] annotations: &[(&str, &str)], #[case] change: Value) {
    let mut facts = one(&json!({"sriov": {}}), &json!({"phase": "Running"}), &json!({}), &change);
    facts.networks = nads([(nad("blue"), with(annotations, "sriov"))]);
    assert_eq!(odd(&facts), "");
}

#[test]
fn a_vmi_that_cannot_be_read_is_unknown() {
    let mut facts = one(&json!({"sriov": {}}), &json!({}), &json!({}), &json!({}));
    let broken = Machine { networks: Err("too long".to_owned()), ..machine() };
    facts.machines = Some(Ok(vec![broken]));
    assert_eq!(
        odd(&facts),
        "unknown vmi vmi-unreadable: default/database: its networks cannot be read: too long\n"
    );
}

mod restarts {
    use super::*;
    use crate::doctor::facts::Ready;

    /// A pod that was admitted at eight, on a node that became ready at ten.
    fn restarted(change: &Value, phase: &str, restarts: Option<Result<&[&str], Failure>>) -> Facts {
        let mut pod = json!({"status": {"startTime": "2026-03-01T08:00:00Z"}});
        json_patch::merge(&mut pod, change);
        let mut facts = one(&json!({"sriov": {}}), &json!({"phase": phase}), &json!({BLUE: "1"}), &pod);
        let since = Some("2026-03-01T10:00:00Z".parse().unwrap());
        let ready = Ready { is_true: true, since, reason: "KubeletReady".to_owned() };
        facts.nodes = Some(Ok(vec![Node { ready: Some(ready), ..node("a", &[(BLUE, 4)]) }]));
        let times =
            |times: &[&str]| times.iter().map(|time| ("a".to_owned(), time.parse().unwrap())).collect();
        facts.restarts = restarts.map(|restarts| restarts.map(times));
        facts
    }

    fn said(phase: &str, change: &Value, restarts: Result<&[&str], Failure>) -> String {
        let facts = restarted(change, phase, Some(restarts));
        assert!(may_be_stale(&facts));
        odd(&facts)
    }

    #[test]
    fn an_event_after_the_allocation_is_proof() {
        let said = said("Scheduled", &json!({}), Ok(&["2026-03-01T09:59:50Z"]));
        insta::assert_snapshot!(said, @"WRONG vmi devices-stale: default/guest: pod virt-launcher-guest-abcde: its devices were allocated at 2026-03-01T08:00:00Z, and node a was restarted at 2026-03-01T09:59:50Z: they are stale");
    }

    #[test]
    fn without_an_event_it_is_unknown() {
        insta::assert_snapshot!(said("Scheduled", &json!({}), Ok(&[])), @"unknown vmi devices-may-be-stale: default/guest: pod virt-launcher-guest-abcde: its devices were allocated at 2026-03-01T08:00:00Z, and node a became ready at 2026-03-01T10:00:00Z: whether it was restarted cannot be seen (the node's events, which are kept for an hour, do not say)");
        let said = said("Scheduled", &json!({}), forbidden(Resource::of::<Event>()));
        assert!(
            said.contains("whether it was restarted cannot be seen (not allowed to list events in all namespaces (the API server says: no))"),
            "{said}"
        );
    }

    #[rstest]
    #[case::its_domain_runs("Running", json!({}))]
    #[case::it_ran_on("Scheduled", json!({
        "metadata": {"annotations": {
            (annotation::NETWORK_STATUS): json!([{"name": "default/blue"}]).to_string(),
            "kubevirt.io/network-info": json!({"interfaces": [{"network": "fast", "deviceInfo": {"type": "pci"}}]}).to_string(),
        }},
        "status": {"containerStatuses": compute_since("2026-03-01T08:00:05Z")},
    }))]
    fn what_runs_on_is_not_stale(#[case] phase: &str, #[case] change: Value) {
        assert_eq!(said(phase, &change, Ok(&["2026-03-01T07:00:00Z"])), "");
    }

    #[test]
    fn a_pod_of_after_the_restart_needs_no_events() {
        let late = json!({"status": {"startTime": "2026-03-01T10:00:01Z"}});
        let facts = restarted(&late, "Scheduled", None);
        assert!(!may_be_stale(&facts));
        assert_eq!(odd(&facts), "");
    }

    #[rstest]
    #[case::failed("Failed")]
    #[case::not_yet_failed("Scheduling")]
    fn a_pod_that_the_kubelet_refused(#[case] phase: &str) {
        let status = json!({"status": {
            "phase": "Failed", "reason": "UnexpectedAdmissionError",
            "message": "Pod was rejected: Allocate failed due to no healthy devices present",
        }});
        let facts = one(&json!({"sriov": {}}), &json!({"phase": phase}), &json!({BLUE: "1"}), &status);
        let report = judge(&facts, &[Check::Vmi], &release::decisions(Options::default()));
        let wrong: Vec<_> = report.findings.iter().filter(|finding| finding.state == State::Wrong).collect();
        assert_eq!(
            wrong[0].found,
            "default/guest: pod virt-launcher-guest-abcde: UnexpectedAdmissionError: Pod was rejected: Allocate failed \
             due to no healthy devices present"
        );
        let remedy = wrong[0].remedy.as_deref().unwrap();
        assert!(
            remedy.contains("kubectl --namespace default delete pod virt-launcher-guest-abcde"),
            "{remedy}"
        );
    }

    #[test]
    fn a_device_that_is_unhealthy() {
        let mut container = compute_since("2026-03-01T08:00:05Z");
        container[0]["allocatedResourcesStatus"] =
            json!([{"name": BLUE, "resources": [{"resourceID": "0000:3b:02.1", "health": "Unhealthy"}]}]);
        let change = json!({
            "metadata": {"annotations": {(annotation::NETWORK_STATUS): json!([{"name": "default/blue"}]).to_string()}},
            "status": {"containerStatuses": container},
        });
        let said =
            odd(&one(&json!({"sriov": {}}), &json!({"phase": "Running"}), &json!({BLUE: "1"}), &change));
        insta::assert_snapshot!(said, @"WRONG vmi device-unhealthy: default/guest: pod virt-launcher-guest-abcde: its device 0000:3b:02.1 of example.com/blue is unhealthy");
    }
}
