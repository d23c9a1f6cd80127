//! `doctor` and live `review` on a cluster in which all is well, and after each thing that goes wrong.

use serde_json::{Value, json};
use tests::cluster::{ControlPlane, Release, manifest};

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

#[test]
fn the_doctor_finds_what_is_wrong_and_nothing_else() {
    let release = Release::in_control_plane(ControlPlane::start("doctor"), "doctor");
    let kubectl = release.kubectl();
    kubectl.apply(&manifest("kubevirt-crds.yaml", &[])).expect_success();
    let crds = ["crd/kubevirts.kubevirt.io", "crd/virtualmachineinstances.kubevirt.io"];
    kubectl
        .run([&["wait", "--for=condition=Established", "--timeout=60s"], &crds[..]].concat())
        .expect_success();
    release.apply_network("storage", "intel.com/sriov_vfio");
    release.deploy("install", &[]).expect_success();
    let replica = release.replica("replica");
    release.balancer().add(replica.address());
    release.wait_until_asked();

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
