//! What the author of a virtual machine hears, as `kubectl apply` and `kubectl get events` show it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::api_server::{Pod, Sandbox, ServingCertificate, Webhook, manifest};

fn install_vmis(sandbox: &Sandbox) {
    let kubectl = sandbox.kubectl();
    kubectl.apply(&manifest("vmi-crd.yaml", &[])).expect_success();
    let name = "crd/virtualmachineinstances.kubevirt.io";
    kubectl.run(["wait", "--for=condition=Established", "--timeout=60s", name]).expect_success();
}

/// A VMI with these interfaces and networks beside the pod's own.
fn vmi(sandbox: &Sandbox, name: &str, interfaces: &[Value], networks: &[Value]) -> String {
    let with = |first: Value, more: &[Value]| [&[first], more].concat();
    json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": sandbox.namespace()},
        "spec": {
            "domain": {
                "memory": {"guest": "64Mi"},
                "devices": {"interfaces": with(json!({"name": "default", "masquerade": {}}), interfaces)}
            },
            "networks": with(json!({"name": "default", "pod": {}}), networks)
        }
    })
    .to_string()
}

fn sriov(name: &str) -> Value {
    json!({"name": name, "sriov": {}})
}

fn multus(name: &str, nad: &str) -> Value {
    json!({"name": name, "multus": {"networkName": nad}})
}

#[tokio::test]
async fn each_mistake_is_a_warning_that_kubectl_shows() {
    let sandbox = Sandbox::new("mistakes");
    install_vmis(&sandbox);
    sandbox.apply_network("vf", "example.com/offered_vf");
    sandbox.apply_network("rare", "example.com/rare_vf");
    sandbox.apply_network("bridge", "");
    sandbox.apply_network("broken", "no-resource-name");
    let kubectl = sandbox.kubectl();
    // The permission that the chart grants if nodes are watched.
    let account = format!("{}:{}", sandbox.system_namespace(), sandbox.webhook_name());
    let resources = "--resource=nodes,deviceclasses.resource.k8s.io";
    let role = ["create", "clusterrole", "mistakes-nodes", "--verb=list,watch", resources];
    kubectl.run(role).expect_success();
    let binding = ["create", "clusterrolebinding", "mistakes-nodes", "--clusterrole=mistakes-nodes"];
    let account = format!("--serviceaccount={account}");
    kubectl.run(binding.into_iter().chain([account.as_str()])).expect_success();
    kubectl.apply(r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"mistakes"}}"#).expect_success();
    let patch = r#"{"status":{"allocatable":{"example.com/offered_vf":"4"},"capacity":{"example.com/offered_vf":"4"}}}"#;
    kubectl.run(["patch", "node", "mistakes", "--subresource=status", "--patch", patch]).expect_success();

    let _webhook = Webhook::start_with_arguments(&sandbox, &["--watch-nodes"]).await;
    // Until the nodes are listed nobody is warned of them.
    let rare = vmi(&sandbox, "probe", &[sriov("a")], &[multus("a", "rare")]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while kubectl.dry_run(&rare).stderr.is_empty() {
        assert!(Instant::now() < deadline, "nodes are not watched");
    }

    let unknown = "Warning: spec.networks \"a\": NetworkAttachmentDefinition mistakes/missing does not exist: create it, \
                   or correct the name; until then the virtual machine's pod is denied\n";
    let cases: [(&str, Vec<Value>, Vec<Value>, &str); 9] = [
        ("good", vec![sriov("a")], vec![multus("a", "vf")], ""),
        ("unknown", vec![sriov("a")], vec![multus("a", "missing")], unknown),
        (
            "no-resource",
            vec![sriov("a")],
            vec![multus("a", "mistakes/bridge")],
            "Warning: spec.networks \"a\": its interface is sriov, but NetworkAttachmentDefinition mistakes/bridge names \
             no resource in k8s.v1.cni.cncf.io/resourceName: the virtual machine will get no VF for it\n",
        ),
        (
            "no-network",
            vec![sriov("a")],
            vec![],
            "Warning: interface \"a\" is sriov, but network \"a\" is not in spec.networks\n",
        ),
        (
            "alike",
            vec![sriov("a"), sriov("b")],
            vec![multus("a", "vf"), multus("b", "vf")],
            "Warning: interfaces a, b are VFs of NetworkAttachmentDefinition mistakes/vf with no macAddress of their \
             own: nothing but their order tells them apart\n",
        ),
        (
            "not-offered",
            vec![sriov("a")],
            vec![multus("a", "rare")],
            "Warning: spec.networks \"a\": no node offers the resource example.com/rare_vf of \
             NetworkAttachmentDefinition mistakes/rare, and no DeviceClass serves it: the virtual machine's pod will wait \
             until one does; see the SR-IOV device plugin or the DRA driver on the nodes\n",
        ),
        (
            "broken",
            vec![sriov("a")],
            vec![multus("a", "broken")],
            "Warning: spec.networks \"a\": NetworkAttachmentDefinition mistakes/broken: its annotation \
             k8s.v1.cni.cncf.io/resourceName: \"no-resource-name\" is not a resource name",
        ),
        (
            "no-name",
            vec![sriov("a")],
            vec![multus("a", "../vf")],
            "Warning: spec.networks \"a\": multus.networkName: namespace \"..\"",
        ),
        ("bridged", vec![json!({"name": "a", "bridge": {}})], vec![multus("a", "bridge")], ""),
    ];
    for (name, interfaces, networks, expected) in cases {
        let output = kubectl.apply(&vmi(&sandbox, name, &interfaces, &networks));
        print!("$ kubectl apply -f {name}.yaml\n{}{}", output.stderr, output.stdout);
        assert_eq!(output.code, Some(0), "{name}: {}", output.stderr);
        let whole = expected.ends_with('\n') || expected.is_empty();
        let said = &output.stderr;
        assert!(if whole { said == expected } else { said.starts_with(expected) }, "{name}: {said}");
    }

    let read = |name: &str| {
        let path = r"jsonpath={.metadata.annotations.kubevirt-sriov\.io/networks}";
        kubectl.run(["get", "vmi", name, "--namespace", "mistakes", "--output", path]).expect_success()
    };
    assert_eq!(
        read("good"),
        r#"{"a":{"nad":"mistakes/vf","resource":"example.com/offered_vf","sriov":true}}"#
    );
    assert_eq!(read("bridged"), r#"{"a":{"nad":"mistakes/bridge"}}"#);
    assert_eq!(read("unknown"), "");
}

/// Type, reason, count and message of the events on a VMI, as they come.
fn events(sandbox: &Sandbox, vmi: &str) -> Vec<String> {
    let kubectl = sandbox.kubectl();
    let line = "{range .items[*]}{.type} {.reason} {.source.component} {.involvedObject.uid} {.message}{\"\\n\"}{end}";
    let selector =
        format!("involvedObject.kind=VirtualMachineInstance,involvedObject.name={vmi},reason=PodRefused");
    let namespace = sandbox.namespace();
    let output = format!("jsonpath={line}");
    let arguments =
        ["get", "events", "--namespace", namespace, "--field-selector", &selector, "--output", &output];
    kubectl.run(arguments).expect_success().lines().map(str::to_owned).collect()
}

fn wait_for_events(sandbox: &Sandbox, vmi: &str, count: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let events = events(sandbox, vmi);
        if events.len() >= count {
            return events;
        }
        assert!(Instant::now() < deadline, "{count} events on {vmi}: {events:?}");
    }
}

/// A pod of this VMI, as virt-controller would create it.
fn pod_of(sandbox: &Sandbox, vmi: &str, uid: &str, networks: &str) -> String {
    let pod = Pod::virt_launcher("unnamed").networks(networks).of_vmi(vmi, uid);
    let mut pod = pod.in_namespace(sandbox.namespace()).value().clone();
    pod["metadata"].as_object_mut().unwrap().remove("name");
    pod["metadata"]["generateName"] = json!(format!("virt-launcher-{vmi}-"));
    pod.to_string()
}

#[tokio::test]
async fn the_vmi_of_a_refused_pod_is_told_once() {
    let sandbox = Sandbox::new("refusals");
    install_vmis(&sandbox);
    let webhook = Webhook::start(&sandbox).await;
    let kubectl = sandbox.kubectl();
    let networks = [multus("a", "missing")];
    kubectl.apply(&vmi(&sandbox, "vm", &[sriov("a")], &networks)).expect_success();
    let uid = ["get", "vmi", "vm", "--namespace", "refusals", "--output", "jsonpath={.metadata.uid}"];
    let uid = kubectl.run(uid).expect_success();

    let pod = pod_of(&sandbox, "vm", &uid, "missing");
    // A dry run leaves nothing behind; the refusal itself is the same.
    assert!(kubectl.dry_run(&pod).expect_failure().contains("refusals/missing does not exist"));
    // virt-controller tries again and again.
    for _ in 0..5 {
        assert!(kubectl.create(&pod).expect_failure().contains("refusals/missing does not exist"));
    }
    let told = format!(
        "Warning PodRefused sriov-webhook {uid} pod \"virt-launcher-vm-*\" refused: annotation \
         k8s.v1.cni.cncf.io/networks: element 1: NetworkAttachmentDefinition refusals/missing does not exist: create \
         it, or correct the name"
    );
    assert_eq!(wait_for_events(&sandbox, "vm", 1), [told.as_str()]);

    // Another reason is news. Events are written in turn, so the repeated ones are not still to come.
    assert!(kubectl.create(&pod_of(&sandbox, "vm", &uid, "-")).expect_failure().contains("denied"));
    let events = wait_for_events(&sandbox, "vm", 2);
    assert_eq!((events.len(), events.iter().filter(|event| **event == told).count()), (2, 1), "{events:?}");
    let counted = webhook.admin("/metrics").unwrap().body;
    for (result, count) in [("written", 2), ("repeated", 4)] {
        let line = format!("sriov_webhook_vmi_events_total{{result=\"{result}\"}} {count}\n");
        assert!(counted.contains(&line), "{line} in {counted}");
    }
}

/// Reviews by somebody who can reach the port and is not the API server.
#[tokio::test]
async fn a_forged_refusal_makes_no_event_and_leaves_room_for_a_real_one() {
    let sandbox = Sandbox::new("forged");
    install_vmis(&sandbox);
    let tls = ServingCertificate::issue();
    let webhook = Webhook::start_with(&sandbox, &sandbox.webhook_kubeconfig().await, &tls);
    let kubectl = sandbox.kubectl();
    kubectl.apply(&vmi(&sandbox, "vm", &[], &[])).expect_success();
    let uid = ["get", "vmi", "vm", "--namespace", "forged", "--output", "jsonpath={.metadata.uid}"];
    let uid = kubectl.run(uid).expect_success();

    let reviewer = webhook.reviewer(&tls.ca);
    let forge = |pod: &str, uid: &str| Pod::virt_launcher(pod).networks("-").of_vmi("vm", uid);
    for number in 0..20 {
        let pod = forge("p", &format!("another-{number}"));
        assert!(reviewer.review("forged", &pod).await.is_err());
    }
    // The VMI's uid, in a namespace where it is not.
    assert!(reviewer.review("default", &forge("p", &uid)).await.is_err());
    let counted = |result: &str, count: u32| {
        let line = format!("sriov_webhook_vmi_events_total{{result=\"{result}\"}} {count}\n");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !webhook.admin("/metrics").unwrap().body.contains(&line) {
            assert!(Instant::now() < deadline, "{line} in {}", webhook.admin("/metrics").unwrap().body);
        }
    };
    counted("unknown_vmi", 21);
    assert_eq!(events(&sandbox, "vm"), Vec::<String>::new());

    assert!(kubectl.create(&pod_of(&sandbox, "vm", &uid, "-")).expect_failure().contains("denied"));
    counted("written", 1);
    // Of a VMI that it knows a client can say what it likes, on one line and in quotation marks.
    assert!(reviewer.review("forged", &forge("p\" refused: \n-", &uid)).await.is_err());
    counted("repeated", 1);
    let told = events(&sandbox, "vm");
    assert!(told.len() == 1 && told[0].contains("pod \"virt-launcher-vm-*\" refused: "), "{told:?}");
}

#[tokio::test]
async fn only_vmis_that_have_to_do_with_multus_are_asked_about() {
    let sandbox = Sandbox::new("asked");
    install_vmis(&sandbox);
    sandbox.apply_network("vf", "example.com/offered_vf");
    let webhook = Webhook::start(&sandbox).await;
    let annotated = || {
        let mut vmi: Value = serde_json::from_str(&vmi(&sandbox, "annotated", &[], &[])).unwrap();
        vmi["metadata"]["annotations"] = json!({"kubevirt-sriov.io/networks": "{}"});
        vmi.to_string()
    };
    let bridge = json!({"name": "a", "bridge": {}});
    let bare = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": "bare", "namespace": sandbox.namespace()}, "spec": {"domain": {"devices": {}}},
    });
    let cases = [
        (bare.to_string(), 0.0),
        (vmi(&sandbox, "pod-network", &[], &[]), 0.0),
        (vmi(&sandbox, "bridge", &[bridge], &[multus("a", "vf")]), 1.0),
        (vmi(&sandbox, "sriov", &[sriov("a")], &[multus("a", "vf")]), 1.0),
        (vmi(&sandbox, "no-network", &[sriov("a")], &[]), 1.0),
        (annotated(), 1.0),
    ];
    for (vmi, reviews) in cases {
        let before = webhook.metric("sriov_webhook_reviews_total");
        sandbox.kubectl().apply(&vmi).expect_success();
        assert_eq!(webhook.metric("sriov_webhook_reviews_total") - before, reviews, "{vmi}");
    }
}

/// The helper on a migration's target reads the annotation, and hot-plugged networks come with a migration.
#[tokio::test]
async fn a_network_that_is_plugged_in_later_enters_the_annotation() {
    let sandbox = Sandbox::new("plugged");
    install_vmis(&sandbox);
    sandbox.apply_network("vf", "example.com/offered_vf");
    let webhook = Webhook::start(&sandbox).await;
    let kubectl = sandbox.kubectl();
    let apply = |interfaces: &[&str]| {
        let (interfaces, networks): (Vec<Value>, Vec<Value>) =
            interfaces.iter().map(|name| (sriov(name), multus(name, "vf"))).unzip();
        let before = webhook.metric("sriov_webhook_reviews_total");
        kubectl.apply(&vmi(&sandbox, "machine", &interfaces, &networks)).expect_success();
        webhook.metric("sriov_webhook_reviews_total") - before
    };
    let known = || {
        let path = r"jsonpath={.metadata.annotations.kubevirt-sriov\.io/networks}";
        let text = kubectl
            .run(["get", "vmi", "machine", "--namespace", "plugged", "--output", path])
            .expect_success();
        let networks: Value = serde_json::from_str(&text).unwrap();
        networks.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(apply(&["a"]), 1.0);
    assert_eq!(known(), ["a"]);
    assert_eq!(apply(&["a", "b"]), 1.0);
    assert_eq!(known(), ["a", "b"]);
    kubectl.run(["label", "vmi", "machine", "--namespace", "plugged", "tier=gold"]).expect_success();
    assert_eq!(apply(&["a", "b"]), 0.0, "nothing of ours has changed");
}
