//! `sriov-webhook dump` as a process, against an API server in which secrets are planted.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod fake_api;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Output;

use fake_api::{FakeApi, Lists};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// Wherever it stands, no part of the bundle may have it.
const PLANTED: &str = "hunter2planted";

/// A cluster with a secret in every place where people keep them.
fn planted() -> Lists {
    let mut lists = fake_api::around("sriov", &json!({"cpu": "8", "example.com/red": "6"}));
    let applied = "kubectl.kubernetes.io/last-applied-configuration";
    let annotations = json!({(applied): json!({"spec": PLANTED}).to_string(), "example.com/note": PLANTED});
    let with = |object: &mut Value| {
        let kept = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        object["metadata"]["annotations"] = annotations.clone();
        object["metadata"]["annotations"].as_object_mut().unwrap().extend(kept);
        object["metadata"]["managedFields"] = json!([{"manager": PLANTED, "fieldsV1": {}}]);
    };
    for list in ["deployments", "replicas", "services", "mutatingwebhookconfigurations", "nodes", "kubevirts"]
    {
        lists.get_mut(list).unwrap().as_mut().unwrap().iter_mut().for_each(with);
    }
    for list in ["deployments", "replicas"] {
        for object in lists.get_mut(list).unwrap().as_mut().unwrap() {
            let template = if list == "deployments" { "/spec/template/spec" } else { "/spec" };
            let spec = object.pointer_mut(template).unwrap();
            spec["containers"][0]["env"] = json!([{"name": "HTTPS_PROXY", "value": PLANTED}]);
            let sidecar = json!({"name": "proxy", "image": "x", "command": ["proxy", "--key", PLANTED]});
            spec["containers"].as_array_mut().unwrap().push(sidecar);
        }
    }
    let mut vmi = json!({
        "metadata": {"name": "guest", "namespace": "lab", "uid": "7", "annotations": {"kubevirt.io/ignitiondata": PLANTED}},
        "spec": {
            "domain": {"devices": {"interfaces": [{"name": "fast", "sriov": {}}]}, "firmware": {"kernelBoot": {"kernelArgs": PLANTED}}},
            "networks": [{"name": "fast", "multus": {"networkName": "red"}}],
            "volumes": [{"name": "init", "cloudInitNoCloud": {"userData": format!("#cloud-config\npassword: {PLANTED}")}}],
        },
        "status": {"phase": "Running"},
    });
    let mut pod = json!({
        "metadata": {
            "name": "virt-launcher-guest", "namespace": "lab",
            "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": "7"},
            "annotations": {"k8s.v1.cni.cncf.io/networks": "red"},
        },
        "spec": {"containers": [{"name": "compute", "image": "x", "env": [{"name": "A", "value": PLANTED}],
                                 "resources": {"limits": {"example.com/red": "1"}}}]},
        "status": {"phase": "Running"},
    });
    let mut nad = json!({
        "metadata": {"name": "red", "namespace": "lab", "annotations": {"k8s.v1.cni.cncf.io/resourceName": "example.com/red"}},
        "spec": {"config": json!({"type": "sriov", "vlan": 40, "ipam": {"type": "x", "etcd_password": PLANTED}}).to_string()},
    });
    [&mut vmi, &mut pod, &mut nad].into_iter().for_each(with);
    let mut plain = vmi.clone();
    plain["metadata"]["name"] = json!("without-networks");
    plain["spec"]["networks"] = json!([{"name": "default", "pod": {}}]);
    plain["spec"]["domain"]["devices"]["interfaces"] = json!([{"name": "default", "masquerade": {}}]);
    let event = json!({
        "metadata": {"name": "e", "namespace": "sriov"}, "involvedObject": {"kind": "Pod", "name": "x"},
        "reason": "Failed", "message": format!("cannot pull: Authorization: Bearer {PLANTED}"),
    });
    let map = json!({"metadata": {"name": "m", "namespace": "sriov", "labels": {"app": "sriov"}}, "data": {"x": PLANTED}});
    let secret = json!({"metadata": {"name": "tls", "namespace": "sriov", "labels": {"app": "sriov"}}, "data": {"tls.key": PLANTED}});
    let log = format!(
        "2026-12-01T04:00:00Z {{\"level\":\"INFO\",\"api_token\":\"{PLANTED}\",\"message\":\"ready\"}}\n"
    );
    lists.extend([
        ("virtualmachineinstances", Ok(vec![vmi, plain])),
        ("pods", Ok(vec![pod])),
        ("network-attachment-definitions", Ok(vec![nad])),
        ("events", Ok(vec![event])),
        ("configmaps", Ok(vec![map])),
        ("secrets", Ok(vec![secret])),
        ("log", Ok(vec![json!(log)])),
    ]);
    for list in [
        "replicasets",
        "endpointslices",
        "poddisruptionbudgets",
        "networkpolicies",
        "horizontalpodautoscalers",
    ] {
        lists.insert(list, Ok(Vec::new()));
    }
    lists.insert("validatingwebhookconfigurations", Ok(Vec::new()));
    lists
}

fn dump(api: &FakeApi, output: &str) -> Output {
    api.run("dump", &["--output", output])
}

/// The parts of an archive by their paths, without the folder that all are in.
fn parts(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().components().skip(1).collect::<std::path::PathBuf>();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (path.display().to_string(), text)
    });
    entries.collect()
}

#[test]
fn no_secret_is_in_the_bundle_and_what_is_needed_is() {
    let api = FakeApi::start(planted());
    let output = dump(&api, "-");
    let listing = String::from_utf8(output.stderr).unwrap();
    let parts = parts(&output.stdout);
    for (path, text) in &parts {
        assert!(!text.contains(PLANTED), "{path}: {text}");
        assert!(listing.contains(&format!("  {path}\n")), "{path} is not in {listing}");
    }
    let asked = api.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|path| path.contains("/secrets")), "{asked:?}");
    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
    insta::assert_snapshot!(names.join("\n"), @r"
    doctor.json
    doctor.txt
    kubevirts.json
    machines/events.json
    machines/pods.json
    machines/vmis.json
    missing.txt
    networks/nads.json
    nodes.json
    registrations/mutating.json
    registrations/validating.json
    release/configmaps.json
    release/deployments.json
    release/endpointslices.json
    release/events.json
    release/horizontalpodautoscalers.json
    release/logs/sriov-5d8f7-x2x7q.log
    release/metrics/sriov-5d8f7-x2x7q.txt
    release/networkpolicies.json
    release/poddisruptionbudgets.json
    release/pods.json
    release/replicasets.json
    release/services.json
    versions.json
    ");
    assert_eq!(parts["missing.txt"], "nothing\n");
    assert_eq!(output.status.code(), Some(0), "{listing}");
    let kept = [
        ("doctor.json", "\"schema_version\": 1"),
        ("machines/vmis.json", "\"networkName\": \"red\""),
        ("machines/pods.json", "\"example.com/red\": \"1\""),
        ("networks/nads.json", "vlan"),
        ("registrations/mutating.json", "pods.kubevirt-sriov.io"),
        ("release/deployments.json", "--scope=virt-launcher"),
        ("release/logs/sriov-5d8f7-x2x7q.log", "\"message\":\"ready\""),
        ("release/metrics/sriov-5d8f7-x2x7q.txt", "sriov_webhook_build_info"),
        ("release/events.json", "cannot pull"),
        ("release/configmaps.json", "14 bytes"),
    ];
    for (path, text) in kept {
        assert!(parts[path].contains(text), "{path} has no {text}: {}", parts[path]);
    }
    assert!(!parts["machines/vmis.json"].contains("without-networks"));
}

#[test]
fn what_cannot_be_read_is_said_and_ends_with_1() {
    let mut lists = planted();
    lists.insert("virtualmachineinstances", Err(()));
    lists.remove("metrics");
    lists.remove("log");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.tar.gz");
    let output = dump(&FakeApi::start(lists), path.to_str().unwrap());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let parts = parts(&fs::read(&path).unwrap());
    let missing = &parts["missing.txt"];
    for line in [
        "machines/vmis.json: not allowed to list virtualmachineinstances.kubevirt.io in all namespaces",
        "release/metrics/sriov-5d8f7-x2x7q.txt: not allowed to get pods/proxy sriov/sriov-5d8f7-x2x7q",
        "release/logs/sriov-5d8f7-x2x7q.log: ",
    ] {
        assert!(missing.contains(line) && said.contains(line), "{line}: {missing}");
    }
}

#[test]
fn a_folder_is_made_and_a_file_is_not_overwritten() {
    let api = FakeApi::start(planted());
    let folder = tempfile::tempdir().unwrap();
    let output = dump(&api, folder.path().to_str().unwrap());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let made: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(made.len(), 1);
    assert!(made[0].join("release/deployments.json").exists());
    assert_eq!(mode(&made[0].join("doctor.json")), 0o600);
    let file = folder.path().join("there.tar.gz");
    fs::write(&file, "mine").unwrap();
    let output = dump(&api, file.to_str().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("exists already; name another file"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
