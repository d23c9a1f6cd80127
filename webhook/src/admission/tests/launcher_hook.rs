//! The helper's way into the pod.

use super::*;
use rstest::rstest;

const KUBEVIRT: &str = include_str!("../../../tests/fixtures/virt-launcher-pod.json");

fn kubevirt_pod() -> Value {
    serde_json::from_str(KUBEVIRT).unwrap()
}

fn options(mode: Mode) -> Options {
    let launcher_hook = LauncherHook {
        mode,
        image: Some("registry.example/launcher-hook:1".to_owned()),
        ..LauncherHook::default()
    };
    Options { launcher_hook, ..Options::default() }
}

fn container<'p>(pod: &'p Value, list: &str, name: &str) -> Option<&'p Value> {
    pod["spec"][list].as_array()?.iter().find(|container| container["name"] == name)
}

/// The argument behind `--hook-sidecars`.
fn sockets(pod: &Value) -> &str {
    let arguments = container(pod, "containers", "compute").unwrap()["args"].as_array().unwrap();
    let flag = arguments.iter().position(|argument| argument == "--hook-sidecars").unwrap();
    arguments[flag + 1].as_str().unwrap()
}

/// A KubeVirt pod with a hook sidecar of its own, as virt-controller makes it.
fn pod_with_hook_sidecar() -> Value {
    let mut pod = kubevirt_pod();
    let spec = &mut pod["spec"];
    spec["volumes"].as_array_mut().unwrap().push(json!({"name": "hook-sidecar-sockets", "emptyDir": {}}));
    let mount = json!({"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks"});
    spec["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(mount);
    let arguments = spec["containers"][0]["args"].as_array_mut().unwrap();
    let flag = arguments.iter().position(|argument| argument == "--hook-sidecars").unwrap();
    arguments[flag + 1] = json!("1");
    let mount = json!({"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks", "subPath": "hook-sidecar-0"});
    spec["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "hook-sidecar-0", "volumeMounts": [mount]}));
    pod
}

#[test]
fn compute_runs_the_helper_in_front_of_its_own_command() {
    let pod = kubevirt_pod();
    let after = patched(&pod, &decide_pod(&pod, &options(Mode::Compute)));
    let compute = container(&after, "containers", "compute").unwrap();
    assert_eq!(
        compute["command"],
        json!([
            "/var/run/launcher-hook/launcher-hook",
            "exec",
            "--socket-dir=/var/run/kubevirt-hooks/launcher-hook",
            "--network-info=/etc/launcher-hook/network-info",
            "--network-status=/etc/launcher-hook/network-status",
            "--networks-annotation=/etc/launcher-hook/networks",
            "--fill-network-info=/etc/podinfo/network-info",
            "--vmi-networks=/etc/launcher-hook/vmi-networks",
            "--",
            "/usr/bin/virt-launcher-monitor"
        ])
    );
    assert_eq!(sockets(&after), "1");
    let variable =
        compute["env"].as_array().unwrap().iter().find(|one| one["name"] == "SRIOV_NETWORK_RESOURCES");
    assert_eq!(
        variable.unwrap()["value"],
        r#"{"default/sriov-net-a":"intel.com/sriov_vfio","net-admin/sriov-net-b":"intel.com/sriov_vfio"}"#
    );
    assert_eq!(
        container(&after, "initContainers", "launcher-hook-install").unwrap(),
        &json!({
            "name": "launcher-hook-install",
            "image": "registry.example/launcher-hook:1",
            "imagePullPolicy": "IfNotPresent",
            "command": ["/launcher-hook", "install", "/var/run/launcher-hook"],
            "resources": {
                "requests": {"cpu": "5m", "memory": "16Mi"},
                "limits": {"cpu": "100m", "memory": "16Mi"}
            },
            "securityContext": {
                "runAsUser": 107, "runAsGroup": 107, "runAsNonRoot": true,
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"}
            },
            "volumeMounts": [{"name": "launcher-hook", "mountPath": "/var/run/launcher-hook"}]
        })
    );
}

fn named<'p>(list: &'p Value, key: &str, name: &str) -> Vec<&'p Value> {
    list.as_array().unwrap().iter().filter(|one| one[key] == name).collect()
}

#[test]
fn compute_gets_a_directory_of_its_own_for_network_info_and_the_annotations_beside_it() {
    let pod = kubevirt_pod();
    let after = patched(&pod, &decide_pod(&pod, &options(Mode::Compute)));
    let mounts = &container(&after, "containers", "compute").unwrap()["volumeMounts"];
    assert_eq!(
        named(mounts, "mountPath", "/etc/podinfo"),
        [&json!({"name": "launcher-hook-network-info", "mountPath": "/etc/podinfo"})]
    );
    assert_eq!(
        named(mounts, "name", "launcher-hook-podinfo"),
        [&json!({"name": "launcher-hook-podinfo", "mountPath": "/etc/launcher-hook", "readOnly": true})]
    );
    let volumes = &after["spec"]["volumes"];
    assert_eq!(
        named(volumes, "name", "launcher-hook-network-info"),
        [&json!({"name": "launcher-hook-network-info", "emptyDir": {}})]
    );
    let item = |path: &str, key: &str| json!({"path": path, "fieldRef": {"fieldPath": format!("metadata.annotations['{key}']")}});
    assert_eq!(
        named(volumes, "name", "launcher-hook-podinfo"),
        [&json!({"name": "launcher-hook-podinfo", "downwardAPI": {"items": [
            item("network-info", "kubevirt.io/network-info"),
            item("network-status", "k8s.v1.cni.cncf.io/network-status"),
            item("networks", "k8s.v1.cni.cncf.io/networks"),
            item("vmi-networks", "kubevirt-sriov.io/networks")
        ]}})]
    );
    // Binding sidecars mount KubeVirt's own.
    assert_eq!(named(volumes, "name", "network-info-annotation").len(), 1);
}

#[rstest]
#[case::none(|mounts: &mut Vec<Value>| mounts.retain(|mount| mount["mountPath"] != "/etc/podinfo"), 0)]
#[case::another_file_of_an_older_kubevirt(
    |mounts: &mut Vec<Value>| {
        let mount = mounts.iter_mut().find(|mount| mount["mountPath"] == "/etc/podinfo");
        mount.unwrap()["name"] = json!("network-pci-map-annotation");
    },
    1
)]
fn a_pod_without_network_info_gets_none(#[case] change: fn(&mut Vec<Value>), #[case] left: usize) {
    let mut pod = kubevirt_pod();
    change(pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap());
    let after = patched(&pod, &decide_pod(&pod, &options(Mode::Compute)));
    let compute = container(&after, "containers", "compute").unwrap();
    let mounts = named(&compute["volumeMounts"], "mountPath", "/etc/podinfo");
    assert_eq!(mounts.iter().filter(|mount| mount["name"] != "launcher-hook-network-info").count(), left);
    assert_eq!(mounts.len(), left);
    let command = compute["command"].to_string();
    assert!(!command.contains("fill") && command.contains("--network-info="), "{command}");
}

#[test]
fn a_sidecar_gets_the_socket_directory_and_network_info() {
    let mut pod = kubevirt_pod();
    pod["spec"]["volumes"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "kubevirt-plugin-sockets", "emptyDir": {}}));
    let after = patched(&pod, &decide_pod(&pod, &options(Mode::Sidecar)));
    let sidecar = container(&after, "containers", "launcher-hook").unwrap();
    assert_eq!(
        sidecar["args"],
        json!([
            "serve",
            "--socket-dir=/var/run/kubevirt-hooks",
            "--verify=off",
            "--network-info=/etc/launcher-hook/network-info",
            "--network-status=/etc/launcher-hook/network-status",
            "--networks-annotation=/etc/launcher-hook/networks",
            "--socket-dir=/var/run/kubevirt-plugin"
        ])
    );
    assert_eq!(
        sidecar["volumeMounts"],
        json!([
            {"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks", "subPath": "launcher-hook"},
            {"name": "launcher-hook-podinfo", "mountPath": "/etc/launcher-hook", "readOnly": true},
            {"name": "kubevirt-plugin-sockets", "mountPath": "/var/run/kubevirt-plugin", "subPath": "launcher-hook"}
        ])
    );
    assert_eq!(sockets(&after), "1");
    assert_eq!(
        container(&after, "containers", "compute").unwrap()["command"],
        json!(["/usr/bin/virt-launcher-monitor"])
    );
}

#[rstest]
fn a_second_call_changes_nothing(
    #[values(Mode::Off, Mode::Sidecar, Mode::Compute)] mode: Mode,
    #[values(kubevirt_pod(), pod_with_hook_sidecar(), pod("vf"))] pod: Value,
) {
    let mut pod = pod;
    pod["spec"]["containers"][0]["command"] = json!(["/usr/bin/virt-launcher-monitor"]);
    let once = patched(&pod, &decide_pod(&pod, &options(mode)));
    assert_eq!(decide_pod(&once, &options(mode)).outcome, Outcome::Unchanged);
}

#[rstest]
fn what_kubevirt_made_for_its_own_sidecars_is_used(#[values(Mode::Sidecar, Mode::Compute)] mode: Mode) {
    let pod = pod_with_hook_sidecar();
    let after = patched(&pod, &decide_pod(&pod, &options(mode)));
    assert_eq!(sockets(&after), "2");
    assert_eq!(named(&after["spec"]["volumes"], "name", "hook-sidecar-sockets").len(), 1);
    let mounts = &container(&after, "containers", "compute").unwrap()["volumeMounts"];
    assert_eq!(named(mounts, "mountPath", "/var/run/kubevirt-hooks").len(), 1);
    assert!(container(&after, "containers", "hook-sidecar-0").is_some());
}

#[rstest]
#[case::flag_alone(None, Mode::Compute, true)]
#[case::annotation_on("compute".into(), Mode::Off, true)]
#[case::annotation_off("off".into(), Mode::Compute, false)]
fn the_annotation_wins_over_the_flag(
    #[case] annotation: Option<&str>,
    #[case] flag: Mode,
    #[case] expected: bool,
) {
    let mut pod = kubevirt_pod();
    if let Some(mode) = annotation {
        pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!(mode);
    }
    let after = patched(&pod, &decide_pod(&pod, &options(flag)));
    assert_eq!(container(&after, "initContainers", "launcher-hook-install").is_some(), expected);
}

#[rstest]
#[case::provisioning(|pod: &mut Value| pod["metadata"]["annotations"]["kubevirt.io/ephemeral-provisioning-object"] = json!(""))]
#[case::no_resource(|pod: &mut Value| pod["metadata"]["annotations"][annotation::NETWORKS] = json!("ns/bridge"))]
fn pods_that_do_not_need_it_do_not_get_it(#[case] change: fn(&mut Value)) {
    let mut pod = kubevirt_pod();
    change(&mut pod);
    let after = patched(&pod, &decide_pod(&pod, &options(Mode::Compute)));
    assert!(container(&after, "initContainers", "launcher-hook-install").is_none());
    assert_eq!(sockets(&after), "0");
}

#[test]
fn only_virt_launcher_pods_get_it() {
    let mut pod = kubevirt_pod();
    pod["metadata"]["labels"] = json!({});
    let all = Options { scope: Scope::AllPods, ..options(Mode::Compute) };
    let after = patched(&pod, &decide_pod(&pod, &all));
    assert!(container(&after, "initContainers", "launcher-hook-install").is_none());
}

#[rstest]
#[case::unknown_mode(
    |pod: &mut Value| pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!("yes"),
    r#"annotation kubevirt-sriov.io/launcher-hook: "yes" is not a mode: write off, sidecar or compute"#
)]
#[case::no_command(
    |pod: &mut Value| { pod["spec"]["containers"][0].as_object_mut().unwrap().remove("command"); },
    "container compute has no command for launcher-hook to run in front of"
)]
#[case::no_count(
    |pod: &mut Value| pod["spec"]["containers"][0]["args"] = json!(["--hook-sidecars", "many"]),
    r#"container compute: argument --hook-sidecars: "many" is no number of hook sidecars"#
)]
#[case::count_missing(
    |pod: &mut Value| pod["spec"]["containers"][0]["args"] = json!(["--hook-sidecars"]),
    r#"container compute: argument --hook-sidecars: "" is no number of hook sidecars"#
)]
#[case::mounts_unreadable(
    |pod: &mut Value| pod["spec"]["containers"][0]["volumeMounts"] = json!("none"),
    "the pod in the review cannot be read: invalid type: string"
)]
fn refusals(#[case] change: fn(&mut Value), #[case] start: &str) {
    let mut pod = kubevirt_pod();
    change(&mut pod);
    let Outcome::Denied(denial) = decide_pod(&pod, &options(Mode::Compute)).outcome else { panic!("passed") };
    assert!(denial.message.starts_with(start), "{}", denial.message);
}

#[test]
fn without_an_image_a_pod_that_asks_for_the_helper_is_refused() {
    let mut pod = kubevirt_pod();
    pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!("compute");
    let Outcome::Denied(denial) = decide_pod(&pod, &Options::default()).outcome else { panic!("passed") };
    assert!(denial.message.contains("--launcher-hook-image"), "{}", denial.message);
}

#[test]
fn a_pod_without_the_flag_gets_it() {
    let mut pod = kubevirt_pod();
    pod["spec"]["containers"][0]["args"] = json!(["--name", "vm"]);
    let after = patched(&pod, &decide_pod(&pod, &options(Mode::Sidecar)));
    assert_eq!(sockets(&after), "1");
}

/// As KubeVirt makes pods of VMs with dedicated CPUs.
fn guaranteed_pod() -> Value {
    let mut pod = kubevirt_pod();
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            container["resources"] = json!({
                "requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1024Mi"}
            });
        }
    }
    pod
}

#[rstest]
#[case::burstable(kubevirt_pod(), "5m")]
#[case::guaranteed(guaranteed_pod(), "100m")]
fn the_pod_keeps_its_qos_class(
    #[case] pod: Value,
    #[case] cpu_request: &str,
    #[values(("compute", "initContainers", "launcher-hook-install"), ("sidecar", "containers", "launcher-hook"))]
    place: (&str, &str, &str),
) {
    let (mode, list, name) = place;
    let mut pod = pod;
    pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!(mode);
    let after = patched(&pod, &decide_pod(&pod, &options(Mode::Off)));
    assert_eq!(
        container(&after, list, name).unwrap()["resources"],
        json!({
            "requests": {"cpu": cpu_request, "memory": "16Mi"},
            "limits": {"cpu": "100m", "memory": "16Mi"}
        })
    );
}
