//! What of an object may leave the cluster.
//!
//! Two nets: of objects of users only named fields are kept ([`machine`], [`launcher_pod`], [`nad`], [`node`]), and from
//! all objects everything is taken that may hold a secret ([`object`]).

use contract::kubevirt;
use serde_json::{Map, Value, json};

use super::LEFT_OUT;
use super::mask::mask;

/// Annotations whose values are kept: those that networks and devices depend on, and what helm and Kubernetes themselves
/// write. All others may hold anything, such as a whole object in `last-applied-configuration`.
const ANNOTATIONS: [&str; 8] = [
    "k8s.v1.cni.cncf.io/",
    "v1.multus-cni.io/",
    "kubevirt-sriov.io/",
    kubevirt::NETWORK_INFO,
    "meta.helm.sh/",
    "deployment.kubernetes.io/",
    "kubectl.kubernetes.io/restartedAt",
    "kubectl.kubernetes.io/default-container",
];

/// Parts of the names of fields whose texts are never kept, in small letters and without hyphens.
const SECRET: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "privatekey",
    "apikey",
    "userdata",
    "networkdata",
    "kernelargs",
    "ignition",
    "kubeconfig",
];

/// Takes from an object what may hold a secret.
pub(super) fn object(mut object: Value) -> Value {
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    if matches!(kind, "ConfigMap" | "Secret") {
        for place in ["data", "binaryData", "stringData"] {
            if let Some(data) = object.get_mut(place).and_then(Value::as_object_mut) {
                data.values_mut().for_each(|value| *value = size(value));
            }
        }
    }
    value(&mut object);
    object
}

/// Of the data of a ConfigMap only its size is kept.
fn size(value: &Value) -> Value {
    let bytes = value.as_str().map_or(0, str::len);
    json!(format!("{LEFT_OUT}: {bytes} bytes"))
}

fn value(found: &mut Value) {
    match found {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, found)| field(name, found)),
        Value::Array(list) => list.iter_mut().for_each(value),
        Value::String(text) => *text = mask(text).into_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn field(name: &str, found: &mut Value) {
    match (name, &mut *found) {
        ("annotations", Value::Object(annotations)) => {
            annotations.iter_mut().for_each(|(key, text)| annotation(key, text));
        }
        ("env", Value::Array(variables)) => {
            for variable in variables.iter_mut().filter_map(Value::as_object_mut) {
                if let Some(value) = variable.get_mut("value") {
                    *value = json!(LEFT_OUT);
                }
            }
        }
        // Ours have no secrets, and say how the release decides.
        ("args", Value::Array(arguments)) if arguments.first().is_some_and(|first| first == "serve") => {}
        ("args" | "command", Value::Array(arguments)) => *arguments = vec![json!(LEFT_OUT)],
        // The CNI configuration of a NAD is JSON in a text.
        ("config", Value::String(text)) => *text = configuration(text),
        (name, Value::String(text)) if is_secret(name) => *text = LEFT_OUT.to_owned(),
        (_, found) => value(found),
    }
}

fn annotation(key: &str, text: &mut Value) {
    if ANNOTATIONS.iter().any(|kept| key.starts_with(kept)) {
        value(text);
    } else {
        *text = json!(LEFT_OUT);
    }
}

fn is_secret(name: &str) -> bool {
    let name: String = name.chars().filter(|one| one.is_alphanumeric()).collect::<String>().to_lowercase();
    // secretName and the like only name one.
    name == "secret" || name.ends_with("secret") || SECRET.iter().any(|part| name.contains(part))
}

fn configuration(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut parsed) => {
            value(&mut parsed);
            parsed.to_string()
        }
        Err(_) => format!("{LEFT_OUT}: not JSON, {} bytes", text.len()),
    }
}

/// Of a VMI what its networks and devices depend on.
pub(super) fn machine(vmi: &Value) -> Value {
    let places = [
        "/apiVersion",
        "/kind",
        "/metadata",
        "/spec/networks",
        "/spec/nodeSelector",
        "/spec/resourceClaims",
        "/spec/domain/devices/interfaces",
        "/spec/domain/devices/hostDevices",
        "/status/phase",
        "/status/reason",
        "/status/conditions",
        "/status/interfaces",
        "/status/nodeName",
        "/status/activePods",
        "/status/migrationState",
    ];
    object(pick(vmi, &places))
}

/// Of a virt-launcher pod what its networks and devices depend on.
pub(super) fn launcher_pod(pod: &Value) -> Value {
    let places = [
        "/apiVersion",
        "/kind",
        "/metadata",
        "/spec/nodeName",
        "/spec/nodeSelector",
        "/spec/resourceClaims",
        "/status",
    ];
    let mut kept = pick(pod, &places);
    for list in ["containers", "initContainers"] {
        let containers = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        let containers: Vec<Value> = containers
            .into_iter()
            .flatten()
            .map(|container| pick(container, &["/name", "/image", "/resources", "/restartPolicy"]))
            .collect();
        if !containers.is_empty() {
            put(&mut kept, &["spec", list], Value::Array(containers));
        }
    }
    object(kept)
}

/// Of a NAD its annotations and its CNI configuration.
pub(super) fn nad(nad: &Value) -> Value {
    object(pick(nad, &["/apiVersion", "/kind", "/metadata", "/spec/config"]))
}

/// Of a node what it offers, and how it is.
pub(super) fn node(node: &Value) -> Value {
    let places = [
        "/metadata/name",
        "/metadata/labels",
        "/spec/unschedulable",
        "/spec/taints",
        "/status/allocatable",
        "/status/capacity",
        "/status/conditions",
        "/status/nodeInfo",
    ];
    object(pick(node, &places))
}

/// The fields at these places, where they were.
fn pick(object: &Value, places: &[&str]) -> Value {
    let mut kept = json!({});
    for place in places {
        if let Some(found) = object.pointer(place) {
            let path: Vec<&str> = place.split('/').skip(1).collect();
            put(&mut kept, &path, found.clone());
        }
    }
    kept
}

fn put(object: &mut Value, path: &[&str], found: Value) {
    let Some((first, rest)) = path.split_first() else {
        *object = found;
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if let Some(fields) = object.as_object_mut() {
        put(fields.entry((*first).to_owned()).or_insert(Value::Null), rest, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PLANTED: &str = "hunter2-planted";

    #[rstest]
    #[case::last_applied(json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": PLANTED}}}))]
    #[case::annotation_of_a_template(json!({"spec": {"template": {"metadata": {"annotations": {"example.com/x": PLANTED}}}}}))]
    #[case::environment(json!({"spec": {"containers": [{"env": [{"name": "A", "value": PLANTED}]}]}}))]
    #[case::arguments(json!({"spec": {"containers": [{"args": ["--key", PLANTED]}]}}))]
    #[case::command_of_a_probe(json!({"livenessProbe": {"exec": {"command": ["sh", "-c", PLANTED]}}}))]
    #[case::cloud_init(json!({"volumes": [{"cloudInitNoCloud": {"userData": PLANTED}}]}))]
    #[case::cloud_init_in_base64(json!({"cloudInitConfigDrive": {"networkDataBase64": PLANTED}}))]
    #[case::password(json!({"spec": {"bindPassword": PLANTED}}))]
    #[case::hyphens(json!({"spec": {"api-key": PLANTED}}))]
    #[case::cni_configuration(json!({"spec": {"config": json!({"ipam": {"etcd_password": PLANTED}}).to_string()}}))]
    #[case::cni_configuration_that_is_broken(json!({"spec": {"config": format!("{{\"password\": {PLANTED}")}}))]
    #[case::config_map(json!({"kind": "ConfigMap", "data": {"x": PLANTED}, "binaryData": {"y": PLANTED}}))]
    #[case::secret(json!({"kind": "Secret", "data": {"x": PLANTED}, "stringData": {"y": PLANTED}}))]
    #[case::message(json!({"message": format!("cannot log in with password={PLANTED}")}))]
    #[case::managed_fields(json!({"metadata": {"managedFields": [{"x": PLANTED}]}}))]
    fn what_may_hold_a_secret_is_left_out(#[case] planted: Value) {
        let kept = object(planted).to_string();
        assert!(!kept.contains(PLANTED), "{kept}");
    }

    #[test]
    fn what_is_looked_for_is_kept() {
        let kept = json!({
            "metadata": {"name": "a", "annotations": {"k8s.v1.cni.cncf.io/networks": "lab/red"}},
            "spec": {
                "containers": [{"name": "webhook", "args": ["serve", "--tls-secret=a/b"],
                                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "b", "key": "c"}}}]}],
                "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
                "config": r#"{"type":"sriov","vlan":100}"#,
                "automountServiceAccountToken": true,
            },
        });
        assert_eq!(object(kept.clone()), kept);
    }

    #[test]
    fn of_a_vmi_only_its_networks_are_kept() {
        let vmi = json!({
            "kind": "VirtualMachineInstance", "metadata": {"name": "a"},
            "spec": {
                "networks": [{"name": "fast"}],
                "domain": {"devices": {"interfaces": [{"name": "fast", "sriov": {}}], "disks": [{"serial": PLANTED}]}},
                "volumes": [{"cloudInitNoCloud": {"userData": PLANTED}}],
            },
            "status": {"phase": "Running", "guestOSInfo": {"name": PLANTED}},
        });
        let expected = json!({
            "kind": "VirtualMachineInstance", "metadata": {"name": "a"},
            "spec": {"networks": [{"name": "fast"}], "domain": {"devices": {"interfaces": [{"name": "fast", "sriov": {}}]}}},
            "status": {"phase": "Running"},
        });
        assert_eq!(machine(&vmi), expected);
    }

    #[test]
    fn of_a_pod_only_its_resources_are_kept() {
        let container = json!({"name": "compute", "image": "x", "resources": {"limits": {"a.b/c": "1"}},
                               "env": [{"name": "A", "value": PLANTED}], "command": [PLANTED]});
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [container]}});
        let kept = json!({"name": "compute", "image": "x", "resources": {"limits": {"a.b/c": "1"}}});
        let expected = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [kept]}});
        assert_eq!(launcher_pod(&pod), expected);
    }
}
