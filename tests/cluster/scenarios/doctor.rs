//! `doctor` and live `review` on a cluster in which all is well, and after each thing that goes wrong.

use serde_json::{Value, json};
use tests::api_server::{ControlPlane, Kubectl, Release, Webhook, manifest};

/// What doctor says is not well, as `check: state`.
fn not_well(release: &Release) -> Vec<String> {
    let output = release.doctor(&["--output", "json"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.code, Some(i32::from(report["healthy"] != true)), "{output:?}");
    let findings = report["findings"].as_array().unwrap().iter();
    let odd = findings.filter(|finding| finding["state"] != "ok");
    odd.map(|finding| format!("{}: {}", finding["check"], finding["state"]).replace('"', "")).collect()
}

fn apply(release: &Release, object: &Value) {
    release.kubectl().apply(&object.to_string()).expect_success();
}

fn patch_status(release: &Release, object: &[&str], status: &Value) {
    let patch = json!({ "status": status }).to_string();
    let arguments = ["--subresource=status", "--type", "merge", "--patch", &patch];
    release.kubectl().run([&["patch"], object, &arguments[..]].concat()).expect_success();
}

fn install_kubevirt_crds(kubectl: &Kubectl) {
    kubectl.apply(&manifest("kubevirt-crds.yaml", &[])).expect_success();
    let crds = ["crd/kubevirts.kubevirt.io", "crd/virtualmachineinstances.kubevirt.io"];
    kubectl
        .run([&["wait", "--for=condition=Established", "--timeout=60s"], &crds[..]].concat())
        .expect_success();
}

#[test]
fn the_doctor_finds_what_is_wrong_and_nothing_else() {
    let release = Release::in_control_plane(ControlPlane::start("doctor"), "doctor");
    let kubectl = release.kubectl();
    install_kubevirt_crds(&kubectl);
    release.apply_network("storage", "intel.com/sriov_vfio");
    release.deploy("install", &[]).expect_success();
    let replica = release.replica("replica");
    release.balancer().add(replica.address());
    release.wait_until_asked();
    // No controller counts the replicas here.
    let (name, system) = (release.full_name(), release.system());
    let deployment = ["deployment", &name, "--namespace", &system];
    let counts = json!({"observedGeneration": 1000, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2});
    patch_status(&release, &deployment, &counts);

    let meta = |name: &str| json!({"name": name, "namespace": release.namespace()});
    apply(&release, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}));
    let offer = |count: &str| json!({"allocatable": {"intel.com/sriov_vfio": count}, "capacity": {"intel.com/sriov_vfio": count}});
    patch_status(&release, &["node", "node-1"], &offer("4"));
    let kubevirt =
        json!({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": meta("kubevirt"), "spec": {}});
    apply(&release, &kubevirt);
    let kubevirt = ["kubevirt", "kubevirt", "--namespace", release.namespace()];
    patch_status(&release, &kubevirt, &json!({"observedKubeVirtVersion": "v1.9.0"}));
    apply(
        &release,
        &json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": meta("database"),
            "spec": {
                "domain": {"devices": {"interfaces": [{"name": "fast", "sriov": {}}]}},
                "networks": [{"name": "fast", "multus": {"networkName": "storage"}}],
            },
        }),
    );
    let vmi = [
        "get",
        "vmi",
        "database",
        "--namespace",
        release.namespace(),
        "--output",
        "jsonpath={.metadata.uid}",
    ];
    let uid = kubectl.run(vmi).expect_success();
    let mut metadata = meta("virt-launcher-database");
    metadata["labels"] = json!({"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": uid});
    metadata["annotations"] = json!({"k8s.v1.cni.cncf.io/networks": "storage"});
    let spec = json!({"containers": [{"name": "compute", "image": "none"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    apply(&release, &pod);

    assert_eq!(not_well(&release), Vec::<String>::new(), "{}", release.doctor(&[]).stdout);
    let table = release.doctor(&[]).stdout;
    assert!(table.contains("All is well."), "{table}");
    assert!(table.contains("intel.com/sriov_vfio: 4 on 1 node; named by doctor/storage"), "{table}");

    let review = release.review(&["--namespace", release.namespace()]);
    assert!(review.stdout.contains("doctor/virt-launcher-database: passes as it is"), "{review:?}");
    assert_eq!(review.code, Some(0));
    assert!(release.review(&["--namespace", "default"]).stderr.contains("there are no virt-launcher pods"));

    // A virtual machine that was started while nobody was asked.
    let selector = "webhook.excludedNamespaces={doctor}";
    release.deploy("upgrade", &["--set", selector]).expect_success();
    kubectl.delete(&pod.to_string()).expect_success();
    let mut left_out = Vec::new();
    // The API server acts on a changed registration a moment later.
    for _ in 0..50 {
        apply(&release, &pod);
        left_out = not_well(&release);
        if left_out.contains(&"vmi: wrong".to_owned()) {
            break;
        }
        kubectl.delete(&pod.to_string()).expect_success();
    }
    assert_eq!(left_out, ["webhook: wrong", "vmi: wrong"], "{}", release.doctor(&[]).stdout);
    let review = release.review(&["--namespace", release.namespace(), "--output", "patch"]);
    assert!(review.stdout.contains("/resources"), "{review:?}");

    // No VFs on any node, and a resource that nobody names.
    patch_status(
        &release,
        &["node", "node-1"],
        &json!({"allocatable": {"intel.com/sriov_vfio": "0", "intel.com/other": "2"}}),
    );
    assert_eq!(not_well(&release), ["webhook: wrong", "resource: wrong", "resource: warning", "vmi: wrong"]);

    // Nobody answers.
    release.deploy("upgrade", &["--set", "webhook.excludedNamespaces=null"]).expect_success();
    release.wait_until_asked();
    release.balancer().remove(replica.address());
    drop(replica);
    let down = release.doctor(&["--only", "webhook"]);
    assert!(down.stdout.contains("the API server does not reach it"), "{down:?}");

    // The whole registration is gone: from KubeVirt 1.9 on the worst of all.
    release.helm(&["uninstall", &release.full_name()]).expect_success();
    let gone = not_well(&release);
    assert_eq!(gone[..2], ["webhook: wrong", "webhook: wrong"], "{gone:?}");
    assert!(gone.contains(&"kubevirt: wrong".to_owned()), "{gone:?}");
}

/// A VMI with one interface, and its pod with these containers.
fn machine(release: &Release, name: &str, interface: Value, network: &str, containers: &Value) {
    let mut interface = interface;
    interface["name"] = json!("fast");
    let namespace = release.namespace();
    apply(
        release,
        &json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "domain": {"devices": {"interfaces": [interface]}},
                "networks": [{"name": "fast", "multus": {"networkName": network}}],
            },
            "status": {"phase": "Running"},
        }),
    );
    let path = "jsonpath={.metadata.uid}";
    let uid = release
        .kubectl()
        .run(["get", "vmi", name, "--namespace", namespace, "--output", path])
        .expect_success();
    apply(
        release,
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("virt-launcher-{name}"), "namespace": namespace,
                "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": uid},
                "annotations": {"k8s.v1.cni.cncf.io/networks": network},
            },
            "spec": {"nodeName": "rack1", "containers": containers},
        }),
    );
}

/// Five of six virtual machines without their device, as they were started while no webhook was there; then what a
/// person without permissions sees, and one with those of examples/doctor.yaml.
#[test]
fn machines_of_any_binding_are_looked_at() {
    const RED: &str = "example.com/red";
    const TAP: &str = "macvtap.network.kubevirt.io/bond0";
    let release = Release::in_control_plane(ControlPlane::start("doctor-machines"), "doctor-machines");
    let kubectl = release.kubectl();
    install_kubevirt_crds(&kubectl);
    apply(&release, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "rack1"}}));
    // The API server makes "1k" of 1000.
    let count = json!({RED: "6", TAP: "1000"});
    patch_status(&release, &["node", "rack1"], &json!({"allocatable": count, "capacity": count}));
    release.apply_network("red", RED);
    release.apply_network("tap", TAP);
    let nad = |name: &str, annotations: Value| {
        json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "namespace": release.namespace(), "annotations": annotations},
            "spec": {"config": r#"{"cniVersion": "0.3.1", "type": "sriov"}"#},
        })
    };
    apply(&release, &nad("bare", json!({})));
    apply(&release, &nad("slip", json!({"k8s.v1.cni.cncf.io/resourcename": RED})));
    let compute =
        |limits: Value| json!([{"name": "compute", "image": "none", "resources": {"limits": limits}}]);
    let meshed = json!([
        {"name": "mesh", "image": "none", "resources": {"limits": {RED: "1"}}},
        {"name": "compute", "image": "none"},
    ]);
    machine(&release, "fine", json!({"sriov": {}}), "red", &compute(json!({RED: "1"})));
    machine(&release, "meshed", json!({"sriov": {}}), "red", &meshed);
    machine(&release, "bare", json!({"sriov": {}}), "bare", &compute(json!({})));
    machine(&release, "slip", json!({"sriov": {}}), "slip", &compute(json!({})));
    machine(&release, "tapped", json!({"macvtap": {}}), "tap", &compute(json!({})));
    machine(&release, "plugged", json!({"binding": {"name": "hostdev"}}), "red", &compute(json!({})));

    let only = ["--only", "nad", "--only", "resource", "--only", "vmi"];
    let output = release.doctor(&only);
    assert_eq!(output.code, Some(1), "{output:?}");
    let namespace = release.namespace();
    let pod = |name: &str, rest: &str| format!("{namespace}/{name}: pod virt-launcher-{name}{rest}");
    let expected = [
        format!("{namespace}/bare: interface fast is sriov, but NAD {namespace}/bare names no resource"),
        pod("meshed", &format!(": container mesh holds {RED}, compute does not")),
        pod("plugged", &format!(" holds 0 of 1 {RED}")),
        format!(
            "{namespace}/slip: interface fast is sriov, but NAD {namespace}/slip names no resource; {namespace}/slip has the \
             annotation k8s.v1.cni.cncf.io/resourcename: did you mean k8s.v1.cni.cncf.io/resourceName?"
        ),
        pod("tapped", &format!(" holds 0 of 1 {TAP}")),
    ];
    let found: Vec<&str> =
        output.stdout.lines().filter_map(|line| line.strip_prefix("WRONG    vmi       ")).collect();
    assert_eq!(found, expected, "{}", output.stdout);
    assert!(output.stdout.ends_with("\n5 things are wrong.\n"), "{}", output.stdout);
    assert!(output.stdout.contains(&format!("{TAP}: 1000 on 1 node")), "{}", output.stdout);

    // The node was restarted while a pod that had its devices was not yet running.
    let change = r#"{"status": {"phase": "Pending", "startTime": "2026-03-01T08:00:00Z"}}"#;
    let arguments = ["--subresource=status", "--type", "merge", "--patch", change, "--namespace", namespace];
    kubectl.run([&["patch", "pod", "virt-launcher-fine"], &arguments[..]].concat()).expect_success();
    let phase =
        ["patch", "vmi", "fine", "--type", "merge", "--patch", r#"{"status": {"phase": "Scheduled"}}"#];
    kubectl.run([&phase[..], &["--namespace", namespace]].concat()).expect_success();
    let ready = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                        "lastHeartbeatTime": "2026-03-01T10:00:00Z", "lastTransitionTime": "2026-03-01T10:00:00Z"}]);
    patch_status(&release, &["node", "rack1"], &json!({"conditions": ready}));
    let unknown = release.doctor(&["--only", "vmi"]).stdout;
    assert!(
        unknown.contains("unknown  vmi       doctor-machines/fine: pod virt-launcher-fine: its devices"),
        "{unknown}"
    );
    apply(
        &release,
        &json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "rack1.restart", "namespace": "default"},
            "involvedObject": {"kind": "Node", "name": "rack1", "uid": "rack1"}, "type": "Warning", "reason": "Rebooted",
            "message": "Node rack1 has been rebooted", "lastTimestamp": "2026-03-01T09:59:59Z",
        }),
    );
    let stale = release.doctor(&["--only", "vmi"]).stdout;
    assert!(
        stale.contains("and node rack1 was restarted at 2026-03-01T09:59:59Z: they are stale"),
        "{stale}"
    );

    // A user without any permission is told so.
    let account = |name: &str| {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                             "metadata": {"name": name, "namespace": release.system()}});
        apply(&release, &account);
        release.kubeconfig(name).display().to_string()
    };
    let stranger = account("stranger");
    let output = Webhook::command(&["doctor", "--kubeconfig", &stranger]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output.stdout.ends_with("\nNothing wrong was seen; 8 things could not be seen.\n"),
        "{}",
        output.stdout
    );

    // The permissions of the example are all that it takes.
    let doctor = account("doctor");
    kubectl.run(["apply", "--filename", &example("doctor.yaml")]).expect_success();
    let subject = format!("--serviceaccount={}:doctor", release.system());
    let role = ["create", "clusterrolebinding", "doctor", "--clusterrole=sriov-webhook-doctor", &subject];
    kubectl.run(role).expect_success();
    let role =
        ["create", "rolebinding", "doctor", "--role=sriov-webhook-doctor", "--namespace=default", &subject];
    kubectl.run(role).expect_success();
    let mut arguments = vec!["doctor", "--kubeconfig", &doctor];
    arguments.extend(only);
    let output = Webhook::command(&arguments);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stdout.contains("they are stale") && !output.stdout.contains("unknown"),
        "{}",
        output.stdout
    );
}

fn example(file: &str) -> String {
    format!("{}/../examples/{file}", env!("CARGO_MANIFEST_DIR"))
}
