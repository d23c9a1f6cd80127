//! launcher-hook in pods as the API server takes them: its own validation, and Pod Security `restricted`.

use serde_json::{Value, json};
use tests::api_server::{Appender, Sandbox, Webhook};

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const MODE: &str = "kubevirt-sriov.io/launcher-hook";

fn fixture(path: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn kubevirt_pod() -> Value {
    fixture("webhook/tests/fixtures/virt-launcher-pod.json")
}

fn compute(pod: &mut Value) -> &mut Value {
    let containers = pod["spec"]["containers"].as_array_mut().unwrap();
    containers.iter_mut().find(|container| container["name"] == "compute").unwrap()
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().unwrap().push(item);
}

/// A container beside `compute`.
fn other_container(pod: &Value) -> Value {
    let mut container = pod["spec"]["initContainers"][0].clone();
    container.as_object_mut().unwrap().remove("restartPolicy");
    container
}

/// Container, volume and mount as virt-controller makes them for a hook sidecar of the VMI's.
fn add_hook_sidecar(pod: &mut Value) {
    push(&mut pod["spec"]["volumes"], json!({"name": "hook-sidecar-sockets", "emptyDir": {}}));
    let mount = json!({"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks"});
    push(&mut compute(pod)["volumeMounts"], mount);
    set_sockets(pod, "1");
    let mut sidecar = other_container(pod);
    sidecar["name"] = json!("hook-sidecar-0");
    sidecar["volumeMounts"] = json!([{"name": "hook-sidecar-sockets", "mountPath": "/var/run/kubevirt-hooks",
                                      "subPath": "hook-sidecar-0"}]);
    push(&mut pod["spec"]["containers"], sidecar);
}

fn set_sockets(pod: &mut Value, count: &str) {
    let command = compute(pod)["command"].as_array_mut().unwrap();
    let flag = command.iter().position(|word| word == "--hook-sidecars").unwrap();
    command[flag + 1] = json!(count);
}

/// Each shape of KubeVirt's pods, and how many hook sockets virt-launcher waits for in it; none where no
/// virtual machine runs.
fn shapes() -> Vec<(&'static str, Value, Option<u32>)> {
    let changed = |change: fn(&mut Value)| {
        let mut pod = kubevirt_pod();
        change(&mut pod);
        pod
    };
    vec![
        ("kubevirt-1-9", kubevirt_pod(), Some(0)),
        ("kubevirt-1-8", fixture("webhook/tests/fixtures/virt-launcher-pod.legacy-injected.json"), Some(0)),
        (
            "two-of-one-network",
            changed(|pod| {
                let selections = fixture("launcher-hook/tests/fixtures/node/networks-annotation.json");
                pod["metadata"]["annotations"][NETWORKS] = json!(selections.to_string());
            }),
            Some(0),
        ),
        (
            "migration-target",
            changed(|pod| pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = json!("8e3b8e9a")),
            Some(0),
        ),
        ("hook-sidecar", changed(add_hook_sidecar), Some(1)),
        (
            "without-plugins",
            changed(|pod| {
                let mounts = compute(pod)["volumeMounts"].as_array_mut().unwrap();
                mounts.retain(|mount| mount["name"] != "kubevirt-plugin-sockets");
                let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
                volumes.retain(|volume| volume["name"] != "kubevirt-plugin-sockets");
            }),
            Some(0),
        ),
        (
            "flags-in-args",
            changed(|pod| {
                let compute = compute(pod);
                let mut command = compute["command"].as_array().unwrap().clone();
                compute["args"] = command.split_off(1).into();
                compute["command"] = command.into();
            }),
            Some(0),
        ),
        ("own-hook-sidecar", fixture("webhook/tests/fixtures/virt-launcher-pod.hook-sidecar.json"), Some(1)),
        ("dedicated-cpus", fixture("webhook/tests/fixtures/virt-launcher-pod.dedicated-cpus.json"), Some(0)),
        (
            "without-network-info",
            changed(|pod| {
                let mounts = compute(pod)["volumeMounts"].as_array_mut().unwrap();
                mounts.retain(|mount| mount["mountPath"] != "/etc/podinfo");
                let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
                volumes.retain(|volume| volume["name"] != "network-info-annotation");
            }),
            Some(0),
        ),
        (
            "numbered-interfaces",
            changed(|pod| {
                let selections = json!([
                    {"name": "sriov-net-a", "namespace": "default", "interface": "net1"},
                    {"name": "sriov-net-b", "namespace": "net-admin", "interface": "net2"}
                ]);
                pod["metadata"]["annotations"][NETWORKS] = json!(selections.to_string());
            }),
            Some(0),
        ),
        (
            "default-network",
            changed(|pod| {
                let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
                annotations.remove(NETWORKS);
                annotations
                    .insert("v1.multus-cni.io/default-network".to_owned(), json!("net-admin/sriov-net-b"));
            }),
            Some(0),
        ),
        (
            "compute-is-not-first",
            changed(|pod| {
                let mut other = other_container(pod);
                other["name"] = json!("added-before");
                pod["spec"]["containers"].as_array_mut().unwrap().insert(0, other);
            }),
            Some(0),
        ),
        (
            "provisioning",
            changed(|pod| {
                pod["metadata"]["annotations"]["kubevirt.io/ephemeral-provisioning-object"] = json!("true");
                let compute = compute(pod);
                compute["command"] = json!(["/bin/bash", "-c", "echo bound"]);
            }),
            None,
        ),
    ]
}

/// The pod in the test's namespace with networks of that namespace. KubeVirt sets the seccomp profile where its
/// configuration says so; without one no pod is `restricted`.
fn settle(pod: &Value, namespace: &str, name: &str, mode: &str) -> Value {
    let text = pod.to_string();
    let text = text.replace("net-admin/sriov", &format!("{namespace}/sriov"));
    let text = [r#"\"default\""#, r#"\"net-admin\""#]
        .iter()
        .fold(text, |text, old| text.replace(old, &format!(r#"\"{namespace}\""#)));
    let mut pod: Value = serde_json::from_str(&text).unwrap();
    let metadata = pod["metadata"].as_object_mut().unwrap();
    metadata.remove("generateName");
    metadata.insert("name".to_owned(), json!(name));
    metadata.insert("namespace".to_owned(), json!(namespace));
    pod["metadata"]["annotations"][MODE] = json!(mode);
    pod["spec"]["securityContext"]["seccompProfile"] = json!({"type": "RuntimeDefault"});
    pod
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item["name"].as_str().unwrap()).collect()
}

fn sockets(pod: &Value) -> Option<u32> {
    let mut pod = pod.clone();
    let compute = compute(&mut pod);
    let words =
        ["command", "args"].map(|field| compute[field].as_array().cloned().unwrap_or_default()).concat();
    let flag = words.iter().rposition(|word| word == "--hook-sidecars")?;
    words[flag + 1].as_str().unwrap().parse().ok()
}

#[tokio::test]
async fn every_shape_in_every_mode_is_restricted_and_the_same_when_it_is_applied_again() {
    let sandbox = Sandbox::new("injection");
    let (kubectl, namespace) = (sandbox.kubectl(), sandbox.namespace());
    for network in ["sriov-net-a", "sriov-net-b"] {
        sandbox.apply_network(network, "intel.com/sriov_vfio");
    }
    let image = "registry.example/launcher-hook:1";
    let _webhook = Webhook::start_with_arguments(&sandbox, &["--launcher-hook-image", image]).await;
    let level = "pod-security.kubernetes.io/enforce=restricted";
    kubectl.run(["label", "namespace", namespace, level]).expect_success();

    // The check is at work: KubeVirt's pod without a seccomp profile is not restricted.
    let mut lax = settle(&kubevirt_pod(), namespace, "lax", "compute");
    lax["spec"]["securityContext"].as_object_mut().unwrap().remove("seccompProfile");
    let refused = kubectl.create(&lax.to_string()).expect_failure();
    assert!(
        refused.contains(r#"violates PodSecurity "restricted"#) && !refused.contains("launcher-hook"),
        "{refused}"
    );

    let create = |pod: &Value| -> Value {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let created = kubectl.run_with_input(["create", "-o", "json", "-f", "-"], &pod.to_string());
        assert!(created.success(), "{name}: {}", created.stderr);
        serde_json::from_str(&created.stdout).unwrap()
    };
    for (shape, pod, own_sockets) in shapes() {
        for mode in ["off", "sidecar", "compute"] {
            let name = format!("{shape}-{mode}");
            let stored = create(&settle(&pod, namespace, &name, mode));
            let helped = own_sockets.is_some() && mode != "off";
            let init_containers = names(&stored["spec"]["initContainers"]);
            assert_eq!(init_containers.contains(&"launcher-hook"), helped, "{name}");
            let reports = compute(&mut stored.clone()).get("lifecycle").is_some();
            assert_eq!(reports, helped && mode == "compute", "{name}");
            assert_eq!(sockets(&stored), own_sockets.map(|own| own + u32::from(helped)), "{name}");
            let mut copy = stored.clone();
            let asked = &compute(&mut copy)["resources"]["limits"]["intel.com/sriov_vfio"];
            let expected = if shape == "default-network" { "1" } else { "2" };
            assert_eq!(asked, expected, "{name}");

            // What is stored passes through the webhook once more.
            let mut again = json!({
                "apiVersion": "v1", "kind": "Pod", "spec": stored["spec"],
                "metadata": {"name": format!("{name}-again"), "namespace": namespace,
                             "labels": stored["metadata"]["labels"],
                             "annotations": stored["metadata"]["annotations"]}
            });
            again["spec"].as_object_mut().unwrap().remove("nodeName");
            assert_eq!(create(&again)["spec"], again["spec"], "{name}");
        }
    }
}

#[tokio::test]
async fn the_flag_alone_injects_the_helper_and_a_wrong_mode_is_refused() {
    let sandbox = Sandbox::new("injection-flag");
    let (kubectl, namespace) = (sandbox.kubectl(), sandbox.namespace());
    for network in ["sriov-net-a", "sriov-net-b"] {
        sandbox.apply_network(network, "intel.com/sriov_vfio");
    }
    let arguments =
        ["--launcher-hook", "compute", "--launcher-hook-image", "registry.example/launcher-hook:1"];
    let _webhook = Webhook::start_with_arguments(&sandbox, &arguments).await;
    let mut pod = settle(&kubevirt_pod(), namespace, "flag", "");
    pod["metadata"]["annotations"].as_object_mut().unwrap().remove(MODE);
    let stored: Value = serde_json::from_str(&kubectl.dry_run(&pod.to_string()).expect_success()).unwrap();
    assert!(names(&stored["spec"]["initContainers"]).contains(&"launcher-hook"));
    let refused = kubectl.create(&settle(&kubevirt_pod(), namespace, "wrong", "yes").to_string());
    let said =
        r#"annotation kubevirt-sriov.io/launcher-hook: "yes" is not a mode: write off, sidecar or compute"#;
    let refused = refused.expect_failure();
    assert!(refused.contains(said), "{refused}");
}

#[tokio::test]
async fn called_again_behind_a_webhook_that_adds_a_container_it_counts_its_socket_once() {
    let sandbox = Sandbox::new("injection-again");
    for network in ["sriov-net-a", "sriov-net-b"] {
        sandbox.apply_network(network, "intel.com/sriov_vfio");
    }
    let appender = Appender::start();
    let arguments = ["--launcher-hook-image", "registry.example/launcher-hook:1"];
    let webhook = Webhook::start_with_arguments(&sandbox, &arguments).await;
    appender.register(&sandbox);
    let reviews = || {
        let metrics = webhook.admin("/metrics").unwrap().body;
        let counts =
            metrics.lines().filter(|line| line.starts_with("sriov_webhook_reviews_total{kind=\"pod\""));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum::<u32>()
    };
    for mode in ["sidecar", "compute"] {
        let before = reviews();
        let pod = settle(&kubevirt_pod(), sandbox.namespace(), mode, mode);
        let stored: Value =
            serde_json::from_str(&sandbox.kubectl().dry_run(&pod.to_string()).expect_success()).unwrap();
        assert_eq!(reviews() - before, 2, "{mode}: called once and once more");
        assert_eq!(sockets(&stored), Some(1), "{mode}");
        assert_eq!(names(&stored["spec"]["containers"]), ["compute", Appender::CONTAINER]);
        assert_eq!(names(&stored["spec"]["initContainers"]), ["guest-console-log", "launcher-hook"]);
    }
}
