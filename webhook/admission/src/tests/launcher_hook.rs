//! The helper in pods as KubeVirt 1.9.0 makes them.

mod which_pods;

use super::*;
use rstest::rstest;

fn fixture(name: &str) -> Value {
    let text = match name {
        "plain" => include_str!("../../../tests/fixtures/virt-launcher-pod.json"),
        "hook-sidecar" => include_str!("../../../tests/fixtures/virt-launcher-pod.hook-sidecar.json"),
        "binding-plugin" => include_str!("../../../tests/fixtures/virt-launcher-pod.binding-plugin.json"),
        "dedicated-cpus" => include_str!("../../../tests/fixtures/virt-launcher-pod.dedicated-cpus.json"),
        _ => panic!("{name}"),
    };
    serde_json::from_str(text).unwrap()
}

fn kubevirt_pod() -> Value {
    fixture("plain")
}

fn options(mode: Mode) -> Options {
    let launcher_hook = LauncherHook {
        mode,
        image: Some("registry.example/launcher-hook:1".to_owned()),
        ..LauncherHook::default()
    };
    Options { launcher_hook, ..Options::default() }
}

fn injected(pod: &Value, mode: Mode) -> Value {
    patched(pod, &decide_pod(pod, &options(mode)))
}

fn container<'p>(pod: &'p Value, list: &str, name: &str) -> Option<&'p Value> {
    pod["spec"][list].as_array()?.iter().find(|container| container["name"] == name)
}

fn compute(pod: &Value) -> &Value {
    container(pod, "containers", "compute").unwrap()
}

fn compute_of(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

fn helper(pod: &Value) -> Option<&Value> {
    container(pod, "initContainers", "launcher-hook")
}

fn named<'p>(list: &'p Value, key: &str, name: &str) -> Vec<&'p Value> {
    list.as_array().unwrap().iter().filter(|one| one[key] == name).collect()
}

/// How many sockets virt-launcher waits for: pflag takes the last of several, with `=` or in the next word.
fn sockets(pod: &Value) -> Option<String> {
    let compute = compute(pod);
    let words = ["command", "args"].map(|field| compute[field].as_array().cloned().unwrap_or_default());
    let words: Vec<String> =
        words.into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect();
    let mut count = None;
    for (index, word) in words.iter().enumerate() {
        if word == "--hook-sidecars" {
            count = words.get(index + 1).cloned();
        } else if let Some(value) = word.strip_prefix("--hook-sidecars=") {
            count = Some(value.to_owned());
        }
    }
    count
}

/// As KubeVirt makes them after 1.9: the program in `command`, its flags in `args`.
fn flags_in_args(pod: &mut Value) {
    let compute = compute_of(pod);
    let mut command = compute["command"].as_array().unwrap().clone();
    compute["args"] = command.split_off(1).into();
    compute["command"] = command.into();
}

/// As if the user had asked for one more.
fn add_hook_sidecar(pod: &mut Value) {
    let mut sidecar = container(pod, "containers", "hook-sidecar-0").unwrap().clone();
    sidecar["name"] = json!("hook-sidecar-1");
    sidecar["volumeMounts"][0]["subPath"] = json!("hook-sidecar-1");
    pod["spec"]["containers"].as_array_mut().unwrap().push(sidecar);
    let command = compute_of(pod)["command"].as_array_mut().unwrap();
    let flag = command.iter().position(|word| word == "--hook-sidecars").unwrap();
    command[flag + 1] = json!("2");
}

#[rstest]
#[case::none("plain", |_: &mut Value| (), "1")]
#[case::one("hook-sidecar", |_: &mut Value| (), "2")]
#[case::two("hook-sidecar", add_hook_sidecar, "3")]
#[case::of_a_binding_plugin("binding-plugin", |_: &mut Value| (), "2")]
fn virt_launcher_waits_for_every_hook_sidecar(
    #[case] name: &str,
    #[case] change: fn(&mut Value),
    #[case] expected: &str,
    #[values(Mode::Sidecar, Mode::Compute)] mode: Mode,
    #[values(|_: &mut Value| (), flags_in_args)] place: fn(&mut Value),
) {
    let mut pod = fixture(name);
    change(&mut pod);
    place(&mut pod);
    let after = injected(&pod, mode);
    assert_eq!(sockets(&after).as_deref(), Some(expected));
    // Nothing else of the command line is touched, and no sidecar of the user's.
    let before = [&compute(&pod)["command"], &compute(&pod)["args"]];
    for (before, field) in before.into_iter().zip(["command", "args"]) {
        let words = |list: &Value| list.as_array().cloned().unwrap_or_default();
        let (before, after) = (words(before), words(&compute(&after)[field]));
        assert_eq!(before.len(), after.len());
        let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert!(changed <= 1, "{after:?}");
    }
    let others = |pod: &Value| pod["spec"]["containers"].as_array().unwrap()[1..].to_vec();
    assert_eq!(others(&after), others(&pod));
    let mounts = &compute(&after)["volumeMounts"];
    assert_eq!(named(mounts, "mountPath", "/var/run/kubevirt-hooks").len(), 1);
    assert_eq!(named(&after["spec"]["volumes"], "name", "hook-sidecar-sockets").len(), 1);
}

#[rstest]
#[case::joined(json!(["m", "--hook-sidecars=3", "--name", "vm"]), json!(null), "4")]
#[case::joined_in_args(json!(["m"]), json!(["--hook-sidecars=0"]), "1")]
#[case::the_last_counts(json!(["m", "--hook-sidecars", "7"]), json!(["--hook-sidecars", "1"]), "2")]
#[case::value_in_the_other_list(json!(["m", "--hook-sidecars"]), json!(["1"]), "2")]
#[case::another_flag(json!(["m", "--hook-sidecars-timeout=5"]), json!(null), "1")]
#[case::none(json!(["m", "--name", "vm"]), json!(null), "1")]
#[case::nothing(json!(null), json!(null), "1")]
fn the_count_is_raised_where_it_is(#[case] command: Value, #[case] arguments: Value, #[case] expected: &str) {
    let mut pod = kubevirt_pod();
    for (field, list) in [("command", command), ("args", arguments)] {
        if list.is_null() {
            compute_of(&mut pod).as_object_mut().unwrap().remove(field);
        } else {
            compute_of(&mut pod)[field] = list;
        }
    }
    assert_eq!(sockets(&injected(&pod, Mode::Sidecar)).as_deref(), Some(expected));
}

#[test]
fn compute_reports_its_devices_and_keeps_all_else() {
    let pod = kubevirt_pod();
    let after = injected(&pod, Mode::Compute);
    let mut changed = compute(&after).clone();
    assert_eq!(
        changed["lifecycle"],
        json!({"postStart": {"exec": {"command": [
            "/var/run/launcher-hook/launcher-hook",
            "report-devices",
            "/var/run/launcher-hook-devices/devices.json"
        ]}}})
    );
    let mounts = changed["volumeMounts"].as_array().unwrap().clone();
    let known = compute(&pod)["volumeMounts"].as_array().unwrap();
    let added: Vec<&Value> = mounts.iter().filter(|mount| !known.contains(mount)).collect();
    assert_eq!(
        added,
        [
            // In the place of KubeVirt's own.
            &json!({"name": "launcher-hook-network-info", "mountPath": "/etc/podinfo", "readOnly": true}),
            &json!({"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks"}),
            &json!({"name": "launcher-hook", "mountPath": "/var/run/launcher-hook", "readOnly": true}),
            &json!({"name": "launcher-hook-devices", "mountPath": "/var/run/launcher-hook-devices"}),
        ]
    );
    assert_eq!(mounts.len(), known.len() + 3);
    assert_eq!(sockets(&after).as_deref(), Some("1"));
    // Apart from these it is KubeVirt's: command, environment, security context.
    for field in ["lifecycle", "volumeMounts", "command", "resources"] {
        let original = compute(&pod).get(field).cloned();
        match original {
            Some(original) => changed[field] = original,
            None => drop(changed.as_object_mut().unwrap().remove(field)),
        }
    }
    assert_eq!(&changed, compute(&pod));
    assert_eq!(compute(&after)["command"][0], "/usr/bin/virt-launcher-monitor");
}

#[test]
fn the_helper_is_a_sidecar_that_compute_waits_for() {
    let after = injected(&kubevirt_pod(), Mode::Compute);
    let containers = after["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(
        containers.last().unwrap(),
        &json!({
            "name": "launcher-hook",
            "image": "registry.example/launcher-hook:1",
            "imagePullPolicy": "IfNotPresent",
            "restartPolicy": "Always",
            "command": ["/launcher-hook"],
            "args": [
                "serve",
                "--socket-dir=/var/run/kubevirt-hooks",
                "--keep-serving",
                "--socket-dir=/var/run/kubevirt-plugin",
                "--network-info=/etc/launcher-hook/network-info",
                "--network-status=/etc/launcher-hook/network-status",
                "--networks-annotation=/etc/launcher-hook/networks",
                "--install=/var/run/launcher-hook",
                "--device-report=/var/run/launcher-hook-devices/devices.json",
                "--fill-network-info=/etc/podinfo/network-info",
                "--vmi-networks=/etc/launcher-hook/vmi-networks"
            ],
            "env": [{
                "name": "SRIOV_NETWORK_RESOURCES",
                "value": r#"{"default/sriov-net-a":"intel.com/sriov_vfio","net-admin/sriov-net-b":"intel.com/sriov_vfio"}"#
            }],
            "startupProbe": {
                "exec": {"command": [
                    "/launcher-hook", "ready", "--socket-dir=/var/run/kubevirt-hooks", "--patience=20"
                ]},
                "periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 600
            },
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
            "volumeMounts": [
                {"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks", "subPath": "launcher-hook"},
                {"name": "launcher-hook-podinfo", "mountPath": "/etc/launcher-hook", "readOnly": true},
                {"name": "kubevirt-plugin-sockets", "mountPath": "/var/run/kubevirt-plugin", "subPath": "launcher-hook"},
                {"name": "launcher-hook", "mountPath": "/var/run/launcher-hook"},
                {"name": "launcher-hook-devices", "mountPath": "/var/run/launcher-hook-devices", "readOnly": true},
                {"name": "launcher-hook-network-info", "mountPath": "/etc/podinfo"}
            ]
        })
    );
}

#[test]
fn the_volumes_of_the_helper() {
    let after = injected(&kubevirt_pod(), Mode::Compute);
    let item = |path: &str, key: &str| json!({"path": path, "fieldRef": {"fieldPath": format!("metadata.annotations['{key}']")}});
    let volumes = &after["spec"]["volumes"];
    for name in
        ["launcher-hook", "launcher-hook-devices", "launcher-hook-network-info", "hook-sidecar-sockets"]
    {
        assert_eq!(named(volumes, "name", name), [&json!({"name": name, "emptyDir": {}})]);
    }
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
    change(compute_of(&mut pod)["volumeMounts"].as_array_mut().unwrap());
    let after = injected(&pod, Mode::Compute);
    let mounts = named(&compute(&after)["volumeMounts"], "mountPath", "/etc/podinfo");
    assert_eq!(mounts.iter().filter(|mount| mount["name"] != "launcher-hook-network-info").count(), left);
    assert_eq!(mounts.len(), left);
    let arguments = helper(&after).unwrap()["args"].to_string();
    assert!(!arguments.contains("fill") && arguments.contains("--network-info="), "{arguments}");
}

#[test]
fn mode_sidecar_leaves_compute_alone_but_for_the_sockets() {
    let pod = kubevirt_pod();
    let after = injected(&pod, Mode::Sidecar);
    let sidecar = helper(&after).unwrap();
    assert_eq!(
        sidecar["args"],
        json!([
            "serve",
            "--socket-dir=/var/run/kubevirt-hooks",
            "--keep-serving",
            "--socket-dir=/var/run/kubevirt-plugin",
            "--network-info=/etc/launcher-hook/network-info",
            "--network-status=/etc/launcher-hook/network-status",
            "--networks-annotation=/etc/launcher-hook/networks",
            "--verify=off"
        ])
    );
    assert_eq!(sidecar["volumeMounts"].as_array().unwrap().len(), 3);
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert_eq!((sidecar.get("env"), compute(&after).get("lifecycle")), (None, None));
    let own = compute(&pod)["volumeMounts"].as_array().unwrap();
    let mounts = compute(&after)["volumeMounts"].as_array().unwrap();
    assert_eq!(mounts[..own.len()], own[..]);
    assert_eq!(
        mounts[own.len()..],
        [json!({"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks"})]
    );
}

/// launcher-hook takes the last of several `--verify`.
#[rstest]
#[case::sidecar(Mode::Sidecar, "--verify=off")]
#[case::compute(Mode::Compute, "--verify=fail")]
fn only_mode_compute_leaves_verification_to_the_administrator(#[case] mode: Mode, #[case] counts: &str) {
    let mut options = options(mode);
    options.launcher_hook.arguments = vec!["--verify=fail".to_owned(), "--assign=multus".to_owned()];
    let pod = kubevirt_pod();
    let after = patched(&pod, &decide_pod(&pod, &options));
    let arguments = helper(&after).unwrap()["args"].as_array().unwrap();
    let mut words = arguments.iter().map(|word| word.as_str().unwrap());
    assert_eq!(words.rfind(|word| word.starts_with("--verify")), Some(counts), "{arguments:?}");
    assert!(arguments.contains(&json!("--assign=multus")), "{arguments:?}");
}

#[test]
fn without_the_volume_of_plugins_there_is_no_socket_for_them() {
    let mut pod = kubevirt_pod();
    pod["spec"]["volumes"]
        .as_array_mut()
        .unwrap()
        .retain(|volume| volume["name"] != "kubevirt-plugin-sockets");
    let after = injected(&pod, Mode::Sidecar);
    assert!(!helper(&after).unwrap().to_string().contains("plugin"), "{after}");
}
