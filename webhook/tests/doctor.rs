//! `sriov-webhook doctor` as a process, against an API server of canned lists.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde_json::{Value, json};

const RED: &str = "example.com/red";
const TAP: &str = "macvtap.network.kubevirt.io/bond0";

/// An API server that knows lists and nothing else.
struct FakeApi {
    address: String,
    /// The paths that were asked for, with their queries.
    asked: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
    kubeconfig: String,
}

/// A list by the last part of its path; `Err` is forbidden.
type Lists = BTreeMap<&'static str, Result<Vec<Value>, ()>>;

impl FakeApi {
    fn start(lists: Lists) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &lists, &log);
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        fs::write(&kubeconfig, config.to_string()).unwrap();
        let kubeconfig = kubeconfig.display().to_string();
        Self { address, asked, _folder: folder, kubeconfig }
    }

    fn doctor(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
            .args(["doctor", "--kubeconfig", &self.kubeconfig])
            .args(arguments)
            .output()
            .unwrap()
    }
}

/// Answers one request; each has a connection of its own.
fn answer(stream: TcpStream, lists: &Lists, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut length = 0;
    let request = line.clone();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let header = line.trim().to_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let mut parts = request.split(' ');
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    log.lock().unwrap().push(path.to_owned());
    let (code, body) = respond(method, path, lists);
    let body = body.to_string();
    let head = format!("HTTP/1.1 {code} .\r\nContent-Type: application/json\r\nConnection: close\r\n");
    write!(reader.get_mut(), "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
}

fn respond(method: &str, path: &str, lists: &Lists) -> (u16, Value) {
    let status = |code: u16, reason: &str, message: &str| {
        let kind = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure"});
        let mut status = kind;
        (status["code"], status["reason"], status["message"]) = (json!(code), json!(reason), json!(message));
        (code, status)
    };
    if method == "POST" {
        return status(
            422,
            "Invalid",
            "admission webhook \"pods.kubevirt-sriov.io\" denied the request: annotation k8s.v1.cni.cncf.io/networks: …",
        );
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if path == "/version" {
        let texts =
            ["gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"];
        let mut version = json!({"major": "1", "minor": "36"});
        texts.into_iter().for_each(|key| version[key] = json!("x"));
        return (200, version);
    }
    let kind = path.rsplit('/').next().unwrap();
    match lists.get(kind) {
        None => status(404, "NotFound", "the server could not find the requested resource"),
        Some(Err(())) => status(403, "Forbidden", &format!("{kind} is forbidden")),
        Some(Ok(items)) => {
            // One object on a page, however many were asked for.
            let from = query.split('&').find_map(|part| part.strip_prefix("continue=")).unwrap_or("0");
            let from: usize = from.parse().unwrap();
            let next = if from + 1 < items.len() { (from + 1).to_string() } else { String::new() };
            let page: Vec<&Value> = items.iter().skip(from).take(1).collect();
            let list = json!({"metadata": {"resourceVersion": "1", "continue": next}, "items": page});
            (200, list)
        }
    }
}

fn nad(name: &str, annotations: Value, config: &Value) -> Value {
    json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": "lab", "annotations": annotations},
        "spec": {"config": config.to_string()},
    })
}

fn vmi(name: &str, interface: Value, network: &str, status: Value) -> Value {
    let mut interface = interface;
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

fn pod(machine: &str, network: &str, containers: Value) -> Value {
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

fn compute(limits: Value) -> Value {
    json!([{"name": "compute", "image": "x", "resources": {"limits": limits, "requests": limits}}])
}

/// A cluster in which one of six virtual machines has its device.
fn one_of_six() -> Lists {
    let resource = |name: &str| json!({"k8s.v1.cni.cncf.io/resourceName": name});
    let sriov = json!({"cniVersion": "0.3.1", "type": "sriov", "vlan": 40});
    let running = || json!({"phase": "Running"});
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let service = json!({"service": {"namespace": "sriov", "name": "sriov"}, "caBundle": "YQ=="});
    let registration = json!({
        "metadata": {"name": "sriov"},
        "webhooks": [{"name": "pods.kubevirt-sriov.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                      "failurePolicy": "Fail", "clientConfig": service, "rules": [rule]}],
    });
    let kubevirt = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
        "status": {"observedKubeVirtVersion": "v1.9.0"},
    });
    let ready = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady"}]);
    let node = json!({
        "metadata": {"name": "rack1"},
        "status": {"allocatable": {"cpu": "8", RED: "6", TAP: "1k"}, "conditions": ready},
    });
    let meshed = json!([
        {"name": "mesh-proxy", "image": "x", "resources": {"limits": {RED: "1"}, "requests": {RED: "1"}}},
        {"name": "compute", "image": "x", "resources": {}},
    ]);
    BTreeMap::from([
        ("mutatingwebhookconfigurations", Ok(vec![registration])),
        ("kubevirts", Ok(vec![kubevirt])),
        (
            "network-attachment-definitions",
            Ok(vec![
                nad("red", resource(RED), &sriov),
                nad("bare", json!({}), &sriov),
                nad("slip", json!({"k8s.v1.cni.cncf.io/ressourceName": RED}), &sriov),
                nad("tap", resource(TAP), &json!({"type": "macvtap"})),
            ]),
        ),
        (
            "virtualmachineinstances",
            Ok(vec![
                vmi("fine", json!({"sriov": {}}), "red", running()),
                vmi("meshed", json!({"sriov": {}}), "red", running()),
                vmi("bare", json!({"sriov": {}}), "bare", running()),
                vmi("slip", json!({"sriov": {}}), "slip", running()),
                vmi("tapped", json!({"binding": {"name": "macvtap"}}), "tap", running()),
                vmi("plugged", json!({"binding": {"name": "hostdev"}}), "red", running()),
            ]),
        ),
        (
            "pods",
            Ok(vec![
                pod("fine", "red", compute(json!({RED: "1"}))),
                pod("meshed", "red", meshed),
                pod("bare", "bare", compute(json!({}))),
                pod("slip", "slip", compute(json!({}))),
                pod("tapped", "tap", compute(json!({}))),
                pod("plugged", "red", compute(json!({}))),
            ]),
        ),
        ("nodes", Ok(vec![node])),
    ])
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
        (pages("/virtualmachineinstances"), pages("/pods") - 1, pages("/nodes")),
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
    assert!(said.contains("unknown  vmi       virtualmachineinstances may not be listed"), "{said}");
    assert!(said.contains("unknown  resource  nodes may not be listed"), "{said}");
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
