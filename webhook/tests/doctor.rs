//! `sriov-webhook doctor` as a process, against an API server of canned lists.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod fake_api;

use std::process::Output;

use fake_api::{FakeApi, Lists};
use serde_json::{Value, json};

const RED: &str = "example.com/red";
const TAP: &str = "macvtap.network.kubevirt.io/bond0";

fn nad(name: &str, annotations: &Value, config: &Value) -> Value {
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": "lab", "annotations": annotations},
        "spec": {"config": config.to_string()},
    })
}

fn vmi(name: &str, interface: &Value, network: &str, status: &Value) -> Value {
    let mut interface = interface.clone();
    interface["name"] = json!("fast");
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "namespace": "lab", "uid": format!("uid-{name}")},
        "spec": {
            "domain": {"devices": {"interfaces": [interface]}},
            "networks": [{"name": "fast", "multus": {"networkName": network}}],
        },
        "status": status,
    })
}

fn pod(machine: &str, network: &str, containers: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("virt-launcher-{machine}-x7k2p"), "namespace": "lab",
            "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": format!("uid-{machine}")},
            "annotations": {"k8s.v1.cni.cncf.io/networks": json!([{"name": network, "namespace": "lab"}]).to_string()},
        },
        "spec": {"nodeName": "rack1", "containers": containers},
        "status": {"phase": "Running"},
    })
}

fn compute(limits: &Value) -> Value {
    json!([{"name": "compute", "image": "x", "resources": {"limits": limits, "requests": limits}}])
}

/// A cluster in which one of six virtual machines has its device.
fn one_of_six() -> Lists {
    let resource = |name: &str| json!({"k8s.v1.cni.cncf.io/resourceName": name});
    let sriov = json!({"cniVersion": "0.3.1", "type": "sriov", "vlan": 40});
    let running = || json!({"phase": "Running"});
    let meshed = json!([
        {"name": "mesh-proxy", "image": "x", "resources": {"limits": {RED: "1"}, "requests": {RED: "1"}}},
        {"name": "compute", "image": "x", "resources": {}},
    ]);
    let mut lists = fake_api::around("sriov", &json!({"cpu": "8", RED: "6", TAP: "1k"}));
    lists.extend([
        (
            "network-attachment-definitions",
            Ok(vec![
                nad("red", &resource(RED), &sriov),
                nad("bare", &json!({}), &sriov),
                nad("slip", &json!({"k8s.v1.cni.cncf.io/ressourceName": RED}), &sriov),
                nad("tap", &resource(TAP), &json!({"type": "macvtap"})),
            ]),
        ),
        (
            "virtualmachineinstances",
            Ok(vec![
                vmi("fine", &json!({"sriov": {}}), "red", &running()),
                vmi("meshed", &json!({"sriov": {}}), "red", &running()),
                vmi("bare", &json!({"sriov": {}}), "bare", &running()),
                vmi("slip", &json!({"sriov": {}}), "slip", &running()),
                vmi("tapped", &json!({"binding": {"name": "macvtap"}}), "tap", &running()),
                vmi("plugged", &json!({"binding": {"name": "hostdev"}}), "red", &running()),
            ]),
        ),
        (
            "pods",
            Ok(vec![
                pod("fine", "red", &compute(&json!({RED: "1"}))),
                pod("meshed", "red", &meshed),
                pod("bare", "bare", &compute(&json!({}))),
                pod("slip", "slip", &compute(&json!({}))),
                pod("tapped", "tap", &compute(&json!({}))),
                pod("plugged", "red", &compute(&json!({}))),
            ]),
        ),
    ]);
    lists
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn one_of_six_virtual_machines_has_its_device() {
    let api = FakeApi::start(one_of_six());
    let output = api.doctor(&[]);
    insta::assert_snapshot!(stdout(&output));
    assert_eq!(output.status.code(), Some(1));
    // Each list is read once, to its end.
    let asked = api.asked.lock().unwrap().clone();
    let pages =
        |kind: &str| asked.iter().filter(|path| path.split('?').next().unwrap().ends_with(kind)).count();
    assert_eq!(
        (pages("/virtualmachineinstances"), pages("/api/v1/pods"), pages("/nodes")),
        (6, 6, 1),
        "{asked:?}"
    );
    assert_eq!(pages("/events"), 0, "{asked:?}");
    assert!(!api.address.is_empty());
}

#[test]
fn what_may_not_be_listed_is_unknown_and_ends_with_2() {
    let mut lists = one_of_six();
    for kind in ["nodes", "pods", "virtualmachineinstances"] {
        lists.insert(kind, Err(()));
    }
    let api = FakeApi::start(lists);
    let output = api.doctor(&["--only", "vmi", "--only", "resource"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains(
            "unknown  vmi       not allowed to list virtualmachineinstances.kubevirt.io in all namespaces ("
        ),
        "{said}"
    );
    assert!(said.contains("unknown  resource  not allowed to list nodes ("), "{said}");
    assert!(!said.contains("well"), "{said}");
    let report: Value =
        serde_json::from_str(&stdout(&api.doctor(&["--only", "vmi", "--output", "json"]))).unwrap();
    assert_eq!((&report["healthy"], &report["findings"][0]["state"]), (&json!(false), &json!("unknown")));
}

#[test]
fn the_map_shows_each_of_them() {
    let api = FakeApi::start(one_of_six());
    let output = api.doctor(&["--map"]);
    insta::assert_snapshot!(stdout(&output));
    assert_eq!(output.status.code(), Some(1));
    let fine = api.doctor(&["--map", "--vmi", "lab/fine", "--output", "json"]);
    // It holds its device, and nobody says which it is, nor whether the domain has it.
    assert_eq!(fine.status.code(), Some(2), "{}", stdout(&fine));
    let map: Value = serde_json::from_str(&stdout(&fine)).unwrap();
    let network = &map["machines"][0]["pods"][0]["networks"][0];
    assert_eq!(
        (&network["wanted"]["vlan"], &network["resource"]["value"]),
        (&json!("40"), &json!("example.com/red 1/1"))
    );
    let nobody = api.doctor(&["--map", "--vmi", "lab/nobody"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", stdout(&nobody));
}

#[test]
fn one_line_for_each_finding_and_an_exit_status_for_warnings() {
    let api = FakeApi::start(one_of_six());
    let output = api.doctor(&["--only", "vmi", "--output", "short"]);
    insta::assert_snapshot!(stdout(&output), @r"
    ok vmi - - 1 of 6 VMIs with networks that need devices hold them; of 1 Multus has not yet said what it attached
    wrong vmi device-elsewhere VirtualMachineInstance/lab/meshed lab/meshed: pod virt-launcher-meshed-x7k2p: container mesh-proxy holds example.com/red, compute does not
    wrong vmi nad-without-resource VirtualMachineInstance/lab/bare lab/bare: interface fast is sriov, but NAD lab/bare names no resource
    wrong vmi nad-without-resource VirtualMachineInstance/lab/slip lab/slip: interface fast is sriov, but NAD lab/slip names no resource; lab/slip has the annotation k8s.v1.cni.cncf.io/ressourceName: did you mean k8s.v1.cni.cncf.io/resourceName?
    wrong vmi device-missing VirtualMachineInstance/lab/tapped lab/tapped: pod virt-launcher-tapped-x7k2p holds 0 of 1 macvtap.network.kubevirt.io/bond0
    wrong vmi device-missing VirtualMachineInstance/lab/plugged lab/plugged: pod virt-launcher-plugged-x7k2p holds 0 of 1 example.com/red
    ");
    assert_eq!(output.status.code(), Some(1));
    // Without VMIs that use them, NADs that lack a resource only deserve attention.
    let status = |more: &[&str]| api.doctor(&[&["--only", "nad"], more].concat()).status.code();
    assert_eq!(
        (status(&[]), status(&["--fail-on", "error"]), status(&["--fail-on", "warning"])),
        (Some(0), Some(0), Some(1))
    );
}

#[test]
fn the_json_has_a_schema_version_and_each_finding_its_code_object_and_url() {
    let api = FakeApi::start(one_of_six());
    let report: Value =
        serde_json::from_str(&stdout(&api.doctor(&["--only", "vmi", "--output", "json"]))).unwrap();
    assert_eq!((&report["schema_version"], &report["healthy"]), (&json!(1), &json!(false)));
    let last = report["findings"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["state"], &last["code"], &last["object"]),
        (
            &json!("wrong"),
            &json!("device-missing"),
            &json!({"kind": "VirtualMachineInstance", "namespace": "lab", "name": "plugged"})
        )
    );
    assert!(last["url"].as_str().unwrap().ends_with("/docs/findings.md#device-missing"), "{last}");
    let ok = &report["findings"][0];
    assert!(ok.get("code").is_none() && ok.get("url").is_none() && ok.get("object").is_none(), "{ok}");
}

/// A node without a device plugin: two devices by a DeviceClass, of which a claim has one.
#[test]
fn a_resource_that_a_device_class_serves() {
    let cel = json!({"cel": {"expression": r#"device.driver == "vf.test""#}});
    let class = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "vfs"},
        "spec": {"extendedResourceName": RED, "selectors": [cel]},
    });
    let pool = json!({"name": "rack1", "generation": 1, "resourceSliceCount": 1});
    let slice = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": "rack1-vf.test"},
        "spec": {"driver": "vf.test", "nodeName": "rack1", "pool": pool, "devices": [{"name": "a"}, {"name": "b"}]},
    });
    let result =
        json!({"request": "container-0-request-0", "driver": "vf.test", "pool": "rack1", "device": "b"});
    let claim = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {"name": "virt-launcher-fine-x7k2p-extended-resources-2m9vc", "namespace": "lab"},
        "spec": {"devices": {"requests": [{"name": "container-0-request-0", "exactly": {"deviceClassName": "vfs"}}]}},
        "status": {
            "allocation": {"devices": {"results": [result]}},
            "reservedFor": [{"resource": "pods", "name": "virt-launcher-fine-x7k2p", "uid": "1"}],
        },
    });
    let mut lists = fake_api::around("sriov", &json!({"cpu": "8"}));
    let resource = json!({"k8s.v1.cni.cncf.io/resourceName": RED});
    lists.extend([
        ("network-attachment-definitions", Ok(vec![nad("red", &resource, &json!({"type": "sriov"}))])),
        ("virtualmachineinstances", Ok(Vec::new())),
        ("pods", Ok(Vec::new())),
        ("deviceclasses", Ok(vec![class])),
        ("resourceslices", Ok(vec![slice])),
        ("resourceclaims", Ok(vec![claim])),
    ]);
    let output = FakeApi::start(lists).doctor(&["--only", "resource"]);
    insta::assert_snapshot!(stdout(&output), @r"
    ok       resource  example.com/red: 2 on 1 node, 1 free, by DeviceClass vfs (DRA); held: 1 by claim lab/virt-launcher-fine-x7k2p-extended-resources-2m9vc of pod virt-launcher-fine-x7k2p; named by lab/red

    All is well.
    ");
    assert_eq!(output.status.code(), Some(0));
}

/// A proxy answers in place of the API server, at once or later.
#[test]
fn an_answer_of_another_program_is_one_sentence_with_a_remedy() {
    let remedy = "see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a load \
                  balancer or another program";
    let mut lists = one_of_six();
    lists.insert("version", Ok(vec![json!("<html>\n  <body>Sign in</body>\n</html>")]));
    let output = FakeApi::start(lists).doctor(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(
        said,
        format!(
            "sriov-webhook doctor: cannot get the API server's version: the answer is not an API server's: status 403, \
             <html> <body>Sign in</body> </html>: {remedy}\n"
        )
    );
    let mut lists = one_of_six();
    lists.insert("nodes", Ok(vec![json!("<html>\nBad Gateway")]));
    let output = FakeApi::start(lists).doctor(&["--only", "resource", "--no-release-flags"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let line = "unknown  resource  cannot list nodes: the answer is not an API server's: status 403, <html> Bad Gateway\n";
    assert!(
        said.contains(line) && said.contains(remedy) && !said.contains("use a kubeconfig that may"),
        "{said}"
    );
}

#[test]
fn before_an_install_that_is_possible() {
    let mut lists = one_of_six();
    lists.insert("mutatingwebhookconfigurations", Ok(Vec::new()));
    let output = FakeApi::start(lists).doctor(&["--pre"]);
    insta::assert_snapshot!(stdout(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let start = std::time::Instant::now();
    let output = FakeApi::start(one_of_six()).doctor(&["--only", "vmi", "--wait", "2s", "--output", "short"]);
    assert!(start.elapsed() >= std::time::Duration::from_secs(2));
    // Only what was seen the last time is printed.
    assert_eq!((output.status.code(), stdout(&output).lines().count()), (Some(1), 6));
    let start = std::time::Instant::now();
    assert_eq!(
        FakeApi::start(one_of_six()).doctor(&["--only", "injector", "--wait", "1h"]).status.code(),
        Some(0)
    );
    assert!(start.elapsed() < std::time::Duration::from_secs(60));
}

/// The schema of docs/doctor.schema.json that the JSON keeps.
fn schema() -> Value {
    use clap::ValueEnum as _;
    use webhook::doctor::{Check, Code, SCHEMA_VERSION, State};
    let states = [State::Ok, State::Note, State::Warning, State::Unknown, State::Wrong];
    let checks: Vec<&str> = std::iter::once(Check::Cluster).chain(Check::ALL).map(Check::as_str).collect();
    let codes: Vec<String> = Code::value_variants().iter().map(ToString::to_string).collect();
    let text = json!({"type": "string"});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What sriov-webhook doctor --output json prints",
        "type": "object",
        "required": ["schema_version", "healthy", "findings"],
        "properties": {
            "schema_version": {"const": SCHEMA_VERSION},
            "healthy": {"type": "boolean", "description": "whether nothing is wrong and nothing unknown"},
            "findings": {"type": "array", "items": {"$ref": "#/$defs/finding"}},
        },
        "$defs": {
            "finding": {
                "type": "object",
                "required": ["check", "state", "found"],
                "properties": {
                    "check": {"enum": checks},
                    "state": {"enum": states},
                    "code": {"enum": codes, "description": "present unless the state is ok; later versions have more"},
                    "object": {"$ref": "#/$defs/object"},
                    "found": text,
                    "remedy": text,
                    "url": {"type": "string", "format": "uri", "description": "where the code is explained"},
                },
            },
            "object": {
                "type": "object",
                "required": ["kind", "name"],
                "properties": {"kind": text, "namespace": text, "name": text},
            },
        },
    })
}

/// After a change, `UPDATE_SCHEMA=1 cargo test --workspace --test doctor` writes it again.
#[test]
fn the_json_is_as_its_schema_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/doctor.schema.json");
    let schema = schema();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    let mut lists = one_of_six();
    lists.insert("nodes", Err(()));
    let printed = FakeApi::start(lists).doctor(&["--output", "json"]);
    let report: Value = serde_json::from_str(&stdout(&printed)).unwrap();
    keeps(&report, &schema, &schema, "report");
    assert!(report["findings"].as_array().unwrap().len() > 10);
}

/// As far as this schema goes: types, required and known fields, lists of values.
fn keeps(value: &Value, schema: &Value, whole: &Value, place: &str) {
    if let Some(definition) = schema["$ref"].as_str() {
        return keeps(value, whole.pointer(definition.trim_start_matches('#')).unwrap(), whole, place);
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{place}: {value} is not in {values:?}");
    }
    if let Some(expected) = schema.get("const") {
        assert_eq!(value, expected, "{place}");
    }
    match schema["type"].as_str() {
        Some("string") => assert!(value.is_string(), "{place}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{place}: {value}"),
        Some("array") => {
            value.as_array().unwrap().iter().for_each(|item| keeps(item, &schema["items"], whole, place));
        }
        Some("object") => {
            let fields = value.as_object().unwrap();
            for required in schema["required"].as_array().unwrap() {
                assert!(
                    fields.contains_key(required.as_str().unwrap()),
                    "{place}: {value} has no {required}"
                );
            }
            for (name, field) in fields {
                let known = schema["properties"].get(name);
                let known = known.unwrap_or_else(|| panic!("{place}: {name} is not in the schema"));
                keeps(field, known, whole, &format!("{place}/{name}"));
            }
        }
        _ => {}
    }
}
