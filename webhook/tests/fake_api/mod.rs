//! An API server of canned lists, and `sriov-webhook doctor` as a process against it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde_json::{Value, json};

/// An API server that knows lists and nothing else.
pub(crate) struct FakeApi {
    pub(crate) address: String,
    /// The requested paths, with their queries.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// The requests' headers, one in each element, with their names in small letters.
    pub(crate) headers: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
    kubeconfig: String,
}

/// A list by the last part of its path; `Err` is forbidden. `replicas` are the pods of the release's namespace, and
/// `metrics` the page of each.
pub(crate) type Lists = BTreeMap<&'static str, Result<Vec<Value>, ()>>;

/// What a cluster has whatever its virtual machines are: the registration of a release of this name, KubeVirt 1.9, and
/// the node `rack1` with these resources.
pub(crate) fn around(release: &str, allocatable: &Value) -> Lists {
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let client = json!({"service": {"namespace": release, "name": release}, "caBundle": "YQ=="});
    let registration = json!({
        "metadata": {"name": release},
        "webhooks": [{"name": "pods.kubevirt-sriov.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                      "failurePolicy": "Fail", "clientConfig": client, "rules": [rule]}],
    });
    let kubevirt = json!({
        "apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
        "status": {"observedKubeVirtVersion": "v1.9.0"},
    });
    let ready = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady"}]);
    let node = json!({
        "metadata": {"name": "rack1"},
        "status": {"allocatable": allocatable, "conditions": ready},
    });
    let labels = json!({"app": release});
    let version = env!("CARGO_PKG_VERSION");
    let service = json!({"metadata": {"name": release, "namespace": release}, "spec": {"selector": labels}});
    let webhook = json!({
        "name": "webhook", "image": format!("example.com/sriov-webhook:{version}"), "args": ["serve", "--scope=virt-launcher"],
        "ports": [{"name": "metrics", "containerPort": 8080}],
    });
    let deployment = json!({
        "metadata": {"name": release, "namespace": release, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [webhook]}}},
        "status": {"readyReplicas": 1, "updatedReplicas": 1},
    });
    let replica = json!({
        "metadata": {"name": format!("{release}-5d8f7-x2x7q"), "namespace": release, "labels": labels},
        "spec": {"containers": [webhook]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    let metrics = format!(
        "sriov_webhook_build_info{{version=\"{version}\"}} 1\nsriov_webhook_networks_listed 1\n\
         sriov_webhook_reviews_total{{kind=\"pod\",outcome=\"patched\",reason=\"\"}} 3\n"
    );
    BTreeMap::from([
        ("services", Ok(vec![service])),
        ("deployments", Ok(vec![deployment])),
        ("replicas", Ok(vec![replica])),
        ("metrics", Ok(vec![json!(metrics)])),
        ("mutatingwebhookconfigurations", Ok(vec![registration])),
        ("kubevirts", Ok(vec![kubevirt])),
        ("nodes", Ok(vec![node])),
    ])
}

impl FakeApi {
    pub(crate) fn start(lists: Lists) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let headers = Arc::new(Mutex::new(Vec::new()));
        let (log, head) = (Arc::clone(&asked), Arc::clone(&headers));
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &lists, &log, &head);
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
        Self { address, asked, headers, folder, kubeconfig }
    }

    pub(crate) fn doctor(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Writes a kubeconfig with another user, and with more about the cluster, and returns its path.
    pub(crate) fn kubeconfig_of(&self, user: Value, more: &Value) -> String {
        let text = fs::read_to_string(&self.kubeconfig).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["users"][0]["user"] = user;
        let cluster = config["clusters"][0]["cluster"].as_object_mut().unwrap();
        cluster.extend(more.as_object().unwrap().clone());
        let path = format!("{}.of", self.kubeconfig);
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Writes a program of the shell beside the kubeconfig and returns its path.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// Another command that talks to it.
    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"));
        process.args([command, "--kubeconfig", &self.kubeconfig]).args(arguments).output().unwrap()
    }

    /// `doctor`, with its other arguments still to come.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"));
        command.args(["doctor", "--kubeconfig", &self.kubeconfig]);
        command
    }
}

/// Answers one request; each has a connection of its own.
fn answer(stream: TcpStream, lists: &Lists, log: &Mutex<Vec<String>>, headers: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut length = 0;
    let request = line.clone();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        let name = name.to_lowercase();
        if name == "content-length" {
            length = value.parse().unwrap();
        }
        headers.lock().unwrap().push(format!("{name}: {value}"));
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let mut parts = request.split(' ');
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    log.lock().unwrap().push(path.to_owned());
    let (code, body) = respond(method, path, lists);
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
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
    let path_only = path.split('?').next().unwrap();
    let kind = path_only.rsplit('/').next().unwrap();
    // A page of another program, in place of the object.
    if let Some(Ok(items)) = lists.get(kind)
        && let Some(page) = items.first().and_then(Value::as_str).filter(|page| page.starts_with('<'))
    {
        return (403, json!(page));
    }
    if kind == "selfsubjectaccessreviews" {
        return (
            201,
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": true}}),
        );
    }
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
    let mut parts = path.rsplit('/');
    let (last, parent) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    if last == "metrics" && parent == "proxy" || last == "log" {
        return match lists.get(last) {
            Some(Ok(pages)) => (200, pages[0].clone()),
            _ => status(403, "Forbidden", "the subresource of pods is forbidden"),
        };
    }
    // One object, by its name.
    if let Some(Err(())) = lists.get(parent) {
        return status(403, "Forbidden", &format!("{parent} is forbidden"));
    }
    if let Some(Ok(items)) = lists.get(parent) {
        let found = items.iter().find(|item| item["metadata"]["name"] == last);
        return found.map_or_else(|| status(404, "NotFound", "there is none"), |found| (200, found.clone()));
    }
    let of_release = last == "pods" && path.contains("/namespaces/");
    let kind = if of_release { "replicas" } else { last };
    match lists.get(kind) {
        None => status(404, "NotFound", "the server could not find the requested resource"),
        Some(Err(())) => status(403, "Forbidden", &format!("{kind} is forbidden")),
        Some(Ok(items)) => {
            // One object on a page, whatever the requested limit.
            let from = query.split('&').find_map(|part| part.strip_prefix("continue=")).unwrap_or("0");
            let from: usize = from.parse().unwrap();
            let next = if from + 1 < items.len() { (from + 1).to_string() } else { String::new() };
            let page: Vec<&Value> = items.iter().skip(from).take(1).collect();
            let list = json!({"metadata": {"resourceVersion": "1", "continue": next}, "items": page});
            (200, list)
        }
    }
}
