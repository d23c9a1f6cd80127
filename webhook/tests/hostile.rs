//! Somebody on the pod network who posts reviews of their own making, with an API server that takes notes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

mod harness;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::{PATIENCE, Server, review};
use serde_json::{Value, json};

/// The only VMI that exists.
const VMI: (&str, &str) = ("real", "705ab4f5-0000-4000-8000-000000000001");

/// An API server without NADs and with one VMI. Each request is noted as `METHOD path body`.
struct ApiServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl ApiServer {
    fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in socket.incoming() {
                let notes = Arc::clone(&notes);
                thread::spawn(move || answer(&stream.unwrap(), &notes));
            }
        });
        Self { address, requests }
    }

    /// The requests that have `part` in them.
    fn noted(&self, part: &str) -> Vec<String> {
        self.requests.lock().unwrap().iter().filter(|request| request.contains(part)).cloned().collect()
    }
}

/// Answers what comes over one connection, until it is closed.
fn answer(stream: &TcpStream, notes: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let request: Vec<&str> = head.split(' ').take(2).collect();
        let body = String::from_utf8(body).unwrap();
        let (status, answer) = reply(request[0], request[1], &body);
        notes.lock().unwrap().push(format!("{} {body}", request.join(" ")));
        if request[1].contains("watch=") {
            // A watch that says nothing.
            let _ = writer.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            continue;
        }
        let answer = answer.to_string();
        let length = answer.len();
        let _ = write!(
            writer,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
        );
    }
}

fn reply(method: &str, path: &str, body: &str) -> (u16, Value) {
    let meta = |kind: &str| json!({"apiVersion": "meta.k8s.io/v1", "kind": kind, "metadata": {"resourceVersion": "1"}});
    let path = path.split('?').next().unwrap();
    if path.ends_with("/network-attachment-definitions") {
        let mut list = meta("PartialObjectMetadataList");
        list["items"] = json!([]);
        return (200, list);
    }
    if path.ends_with(&format!("/namespaces/default/virtualmachineinstances/{}", VMI.0)) {
        let mut vmi = meta("PartialObjectMetadata");
        vmi["metadata"] = json!({"name": VMI.0, "namespace": "default", "uid": VMI.1});
        return (200, vmi);
    }
    if method == "POST" {
        let mut made: Value = serde_json::from_str(body).unwrap();
        made["status"] = json!({"allowed": true});
        return (201, made);
    }
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
        "message": format!("{path} not found"),
    });
    (404, status)
}

fn serve_on(api_server: &ApiServer) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", api_server.address)}}],
        "users": [{"name": "c", "user": {}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let server = Server::start(["--kubeconfig", kubeconfig.to_str().unwrap(), "--self-signed"]);
    let start = Instant::now();
    while server.get("/readyz").status != 200 {
        assert!(start.elapsed() < PATIENCE, "{:#?}", server.log());
        thread::sleep(Duration::from_millis(10));
    }
    server
}

/// The review of a pod that is refused for its annotation, and says that it is this VMI's.
fn forged(vmi: (&str, &str), pod: &str, networks: &str) -> String {
    let owner = json!({"kind": "VirtualMachineInstance", "name": vmi.0, "uid": vmi.1});
    let pod = json!({
        "metadata": {
            "name": pod,
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {"k8s.v1.cni.cncf.io/networks": networks},
            "ownerReferences": [owner],
        },
        "spec": {"containers": [{"name": "compute"}]},
    });
    review(&pod).to_string()
}

fn events(server: &Server, result: &str) -> f64 {
    let name = format!("sriov_webhook_vmi_events_total{{result=\"{result}\"}}");
    let metrics = server.get("/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.map_or(0.0, |count| count.parse().unwrap())
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn events_are_written_on_vmis_that_exist_only() {
    let api_server = ApiServer::start();
    let server = serve_on(&api_server);
    for forgery in [("nowhere", VMI.1), (VMI.0, "705ab4f5-0000-4000-8000-000000000002"), ("../nodes", VMI.1)]
    {
        let answer = server.post(&forged(forgery, "p", "-")).json();
        assert_eq!(answer["response"]["allowed"], false);
    }
    wait_for(|| events(&server, "unknown_vmi") == 2.0);
    let pod = "x\" refused: all is well\n2026-01-01 Normal";
    server.post(&forged(VMI, pod, "-"));
    wait_for(|| events(&server, "written") == 1.0);

    let written = api_server.noted("POST /api/v1/namespaces/default/events");
    let [event] = written.as_slice() else { panic!("{written:#?}") };
    let event: Value = serde_json::from_str(&event[event.find('{').unwrap()..]).unwrap();
    assert_eq!(event["involvedObject"]["uid"], VMI.1);
    let message = event["message"].as_str().unwrap();
    let quoted = r#"pod "x\" refused: all is well\n2026-01-01 Normal" refused: annotation "#;
    assert!(message.starts_with(quoted), "{message}");
}

#[test]
fn a_flood_of_forged_refusals_is_little_to_the_api_server() {
    let api_server = ApiServer::start();
    let server = serve_on(&api_server);
    let start = Instant::now();
    for number in 0..200 {
        server.post(&forged((&format!("forged-{number}"), VMI.1), "p", "-"));
    }
    wait_for(|| events(&server, "unknown_vmi") + events(&server, "dropped") == 200.0);
    let look_ups = api_server.noted("/virtualmachineinstances/").len();
    // A burst of 25, and two a second after that.
    let allowed = 26 + 2 * usize::try_from(start.elapsed().as_secs() + 1).unwrap();
    assert!((25..=allowed).contains(&look_ups), "{look_ups}, {allowed}");
    assert_eq!(api_server.noted("/events").len(), 0);
}

#[test]
fn a_flood_of_unknown_networks_is_little_to_the_api_server() {
    let api_server = ApiServer::start();
    let server = serve_on(&api_server);
    let start = Instant::now();
    for flood in 0..20 {
        let networks: Vec<String> = (0..64).map(|number| format!("net-{flood}-{number}")).collect();
        let answer = server.post(&forged(VMI, "p", &networks.join(","))).json();
        assert_eq!(answer["response"]["allowed"], false);
    }
    let look_ups = api_server.noted("/network-attachment-definitions/").len();
    // A burst of 128, and fifty a second after that.
    let allowed = 129 + 50 * usize::try_from(start.elapsed().as_secs() + 1).unwrap();
    assert!((128..=allowed).contains(&look_ups), "{look_ups}, {allowed}");
}

/// What the log and the metrics hold of hostile texts: one line each, cut, and no label of the sender's.
#[test]
fn no_text_of_a_review_forges_a_log_line_or_a_label() {
    let server = Server::on_examples();
    let mut review: Value =
        serde_json::from_str(&forged(VMI, &format!("a\nb\r\n{}", "c".repeat(100_000)), "missing")).unwrap();
    review["request"]["uid"] = json!("u\n{\"level\":\"ERROR\"}");
    review["request"]["namespace"] = json!("n\ns");
    server.post(&review.to_string());
    let line = server.logged(|line| line["message"] == "review");
    assert!(line.to_string().len() < 3000, "{line}");
    assert!(server.log().iter().all(Value::is_object), "{:#?}", server.log());
    let metrics = server.get("/metrics").body;
    for text in ["a\\nb", "u\\n", "n\\ns", "missing"] {
        assert!(!metrics.contains(text), "{metrics}");
    }
}
