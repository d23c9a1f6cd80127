//! `serve` as the API server, the kubelet and a first-time user meet it.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

mod harness;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{PATIENCE, Server, any_certificate, connect, program, repository, review};
use rstest::rstest;
use serde_json::{Value, json};

const RESOURCE: &str = "intel.com/sriov_vfio";

fn fixture(name: &str) -> Value {
    let path = repository("webhook/tests/fixtures").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn on_fixtures() -> Server {
    Server::start(["--networks".into(), repository("webhook/tests/fixtures/nads.yaml")])
}

fn pod(networks: &str) -> Value {
    json!({
        "metadata": {
            "name": "virt-launcher-x",
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {"k8s.v1.cni.cncf.io/networks": networks},
        },
        "spec": {"containers": [{"name": "compute"}]},
    })
}

/// The decoded patch, if there is one.
fn patch(answer: &Value) -> Option<json_patch::Patch> {
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
    let text = answer["response"]["patch"].as_str()?;
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    Some(serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap())
}

#[test]
fn a_kubevirt_1_9_pod_gets_its_vfs_once() {
    let server = on_fixtures();
    let mut pod = fixture("virt-launcher-pod.json");
    let answer = server.post(&review(&pod).to_string());
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    let answer = answer.json();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    json_patch::patch(&mut pod, &patch(&answer).unwrap()).unwrap();
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let compute = containers.iter().find(|container| container["name"] == "compute").unwrap();
    assert_eq!(compute["resources"]["requests"][RESOURCE], "2");
    assert_eq!(compute["resources"]["limits"][RESOURCE], "2");

    assert_eq!(patch(&server.post(&review(&pod).to_string()).json()), None);
}

#[test]
fn a_pod_that_kubevirt_filled_in_itself_is_left_alone() {
    let pod = fixture("virt-launcher-pod.legacy-injected.json");
    assert_eq!(patch(&on_fixtures().post(&review(&pod).to_string()).json()), None);
}

#[rstest]
#[case::parameters("application/json; charset=utf-8")]
#[case::capitals("Application/JSON")]
fn content_types_that_are_spoken(#[case] content_type: &str) {
    let server = Server::on_examples();
    let answer = server.post_as("/mutate", content_type, &review(&pod("storage")).to_string());
    assert!(patch(&answer.json()).is_some());
}

#[rstest]
#[case::text(
    "/mutate",
    "text/plain",
    "{}",
    415,
    "the content type \"text/plain\" is not spoken here: send application/json"
)]
#[case::none("/mutate", "", "{}", 415, "the request has no content type: send application/json")]
#[case::path(
    "/nowhere",
    "application/json",
    "{}",
    404,
    "there is nothing at \"/nowhere\": reviews of pods go to /mutate, of VMIs to /mutate-vmi, final looks to /validate"
)]
#[case::no_json(
    "/mutate",
    "application/json",
    "pod",
    400,
    "the body is not an AdmissionReview: expected value at line 1 column 1; this address takes what kube-apiserver posts to a webhook"
)]
#[case::empty(
    "/mutate",
    "application/json",
    "",
    400,
    "the body is not an AdmissionReview: EOF while parsing a value at line 1 column 0; this address takes what kube-apiserver posts to a webhook"
)]
#[case::no_request(
    "/mutate",
    "application/json",
    r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
    400,
    "the AdmissionReview has no request: kube-apiserver always sends one"
)]
fn requests_that_are_no_review(
    #[case] path: &str,
    #[case] content_type: &str,
    #[case] body: &str,
    #[case] status: u16,
    #[case] sentence: &str,
) {
    let answer = Server::on_examples().post_as(path, content_type, body);
    assert_eq!((answer.status, answer.body.as_str()), (status, format!("{sentence}\n").as_str()));
}

#[test]
fn other_methods_are_told_which_one() {
    let server = Server::on_examples();
    let answer = server.request("GET /mutate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (405, "/mutate takes POST, not \"GET\"\n"));
}

#[test]
fn an_old_version_of_the_review_is_answered_with_how_to_configure_it() {
    let mut old = review(&pod("storage"));
    old["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let answer = Server::on_examples().post(&old.to_string());
    assert_eq!(answer.status, 200);
    let response = &answer.json()["response"];
    assert_eq!(response["allowed"], false);
    assert_eq!(response["uid"], old["request"]["uid"]);
    let sentence = "the review's version \"admission.k8s.io/v1beta1\" is not supported: set \
                    admissionReviewVersions to [\"v1\"] in the webhook's configuration";
    assert_eq!(response["status"]["message"], sentence);
}

#[rstest]
#[case::by_default(&[], 8 * 1024 * 1024)]
#[case::by_flag(&["--max-body", "64Ki"], 64 * 1024)]
fn a_body_over_the_limit_is_told_the_limit(#[case] arguments: &[&str], #[case] limit: usize) {
    let networks = repository("examples/nads.yaml");
    let server = Server::start(
        ["--networks".as_ref(), networks.as_os_str()].into_iter().chain(arguments.iter().map(AsRef::as_ref)),
    );
    let fits = review(&pod("storage")).to_string();
    let fits = format!("{fits}{}", " ".repeat(limit - fits.len()));
    assert!(patch(&server.post(&fits).json()).is_some());
    let answer = server.post(&(fits + " "));
    let sentence = format!("the body is larger than {limit} bytes, the limit set with --max-body\n");
    assert_eq!((answer.status, answer.body), (413, sentence));
}

#[test]
fn reviews_are_counted_timed_and_logged() {
    let server = Server::on_examples();
    for networks in ["storage", "storage", "backup", "nowhere", "../x"] {
        server.post(&review(&pod(networks)).to_string());
    }
    server.post("no review");
    let reviews = |outcome: &str, reason: &str| {
        server.metric(&format!(
            r#"sriov_webhook_reviews_total{{kind="pod",outcome="{outcome}",reason="{reason}"}}"#
        ))
    };
    assert_eq!(reviews("patched", ""), 2.0);
    assert_eq!(reviews("unchanged", ""), 1.0);
    assert_eq!(reviews("denied", "network_unknown"), 1.0);
    assert_eq!(reviews("denied", "annotation_invalid"), 1.0);
    assert_eq!(server.metric(r#"sriov_webhook_requests_refused_total{reason="no_review"}"#), 1.0);
    assert_eq!(server.metric(r#"sriov_webhook_review_duration_seconds_count{kind="pod"}"#), 5.0);
    assert!(server.metric(r#"sriov_webhook_review_duration_seconds_sum{kind="pod"}"#) > 0.0);
    assert_eq!(server.metric("sriov_webhook_reviews_in_flight"), 0.0);

    let line = server.logged(|line| line["message"] == "review" && line["outcome"] == "denied");
    assert_eq!(line["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(line["namespace"], "default");
    assert_eq!(line["name"], "virt-launcher-x");
    assert_eq!(line["reason"], "network_unknown");
    assert!(line["detail"].as_str().unwrap().contains("default/nowhere does not exist"), "{line}");
    assert!(server.log().iter().all(Value::is_object), "a line that is not JSON: {:#?}", server.log());
}

#[test]
fn what_it_prints_for_a_first_time_user_works() {
    let mut server = Server::on_examples();
    let printed = server.printed(4);
    let between = |start: &str, end: &str| {
        let rest = printed.split_once(start).unwrap_or_else(|| panic!("no {start:?} in {printed}")).1;
        rest.split_once(end).unwrap().0.to_owned()
    };
    let answer = server.post(&between("-d '", "' https://"));
    assert!(patch(&answer.json()).is_some(), "{answer:?}");

    let mut stream = connect(server.https, any_certificate());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let certificate = &stream.conn.peer_certificates().unwrap()[0];
    assert!(printed.contains(&certs::inspect::fingerprint(certificate)), "{printed}");
    let address = format!("https://{}/mutate", server.https);
    assert!(printed.contains(&address), "no {address} in {printed}");
}

#[test]
fn a_network_that_is_added_to_the_file_is_known_soon() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nads.yaml");
    let examples = std::fs::read_to_string(repository("examples/nads.yaml")).unwrap();
    std::fs::write(&file, "").unwrap();
    let arguments =
        ["--networks".as_ref(), file.as_os_str(), "--networks-interval".as_ref(), "20ms".as_ref()];
    let server = Server::start(arguments);
    let ask = || server.post(&review(&pod("storage")).to_string()).json();
    assert_eq!(ask()["response"]["allowed"], false);
    std::fs::write(&file, examples).unwrap();
    let start = Instant::now();
    while ask()["response"]["allowed"] == false {
        assert!(start.elapsed() < PATIENCE, "the file is not read again: {:#?}", server.log());
    }
    assert!(patch(&ask()).is_some());
}

#[test]
fn probes_say_how_it_is() {
    let server = Server::on_examples();
    for path in ["/livez", "/readyz"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"), "{path}");
    }
    assert_eq!(server.get("/none").status, 404);
    let ready = server.get("/readyz?verbose");
    assert_eq!(ready.body, "[+]shutdown ok\n[+]networks ok\n[+]certificate ok\n");
    let version = server.get("/version").body;
    assert_eq!(version, format!("{{\"version\":\"{}\"}}\n", env!("CARGO_PKG_VERSION")));
}

/// Prometheus asks for OpenMetrics; a person with curl, and older scrapers, do not.
#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let server = Server::on_examples();
    let older = server.get("/metrics");
    assert!(older.head.contains("content-type: text/plain; version=0.0.4"), "{}", older.head);
    assert!(older.body.contains("\n# TYPE sriov_webhook_reviews_total counter\n"), "{}", older.body);
    let newer = server.get_as("/metrics", "application/openmetrics-text");
    assert!(
        newer.head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        newer.head
    );
    assert!(newer.body.contains("\n# TYPE sriov_webhook_reviews counter\n"), "{}", newer.body);
    assert!(newer.body.ends_with("# EOF\n"), "{}", newer.body);
}

/// What the process uses is what the kernel says of it.
#[test]
fn metrics_of_the_process_are_its_own() {
    let server = Server::on_examples();
    let megabyte = 1024.0 * 1024.0;
    let resident = server.metric("process_resident_memory_bytes");
    assert!(resident > megabyte && resident < 500.0 * megabyte, "{resident}");
    assert!(server.metric("process_virtual_memory_bytes") > resident);
    assert!(server.metric("process_threads") >= 2.0);
    assert!(server.metric("process_cpu_seconds_total") > 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - server.metric("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&age), "{age}");
    let (open, most) = (server.metric("process_open_fds"), server.metric("process_max_fds"));
    assert!(open > 5.0 && open < most, "{open} of {most}");
}

#[test]
fn told_to_stop_it_answers_on_while_it_says_that_it_is_not_ready() {
    let networks = repository("examples/nads.yaml");
    let arguments = ["--networks".as_ref(), networks.as_os_str(), "--drain-delay".as_ref(), "1h".as_ref()];
    let mut server = Server::start(arguments);
    server.signal("TERM");
    server.logged(|line| line["message"] == "stopping: draining");
    let ready = server.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (503, "shutting down\n"));
    let ready = server.get("/readyz?verbose");
    let expected = "[-]shutdown failed: shutting down\n[+]networks ok\n[+]certificate ok\n";
    assert_eq!((ready.status, ready.body.as_str()), (503, expected));
    assert_eq!(server.get("/livez").status, 200);
    let answer = server.post(&review(&pod("storage")).to_string());
    assert!(patch(&answer.json()).is_some());
    // A second signal does not wait for the hour.
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_review_that_is_under_way_is_answered_before_the_end() {
    let networks = repository("examples/nads.yaml");
    let arguments = ["--networks".as_ref(), networks.as_os_str(), "--drain-delay".as_ref(), "0".as_ref()];
    let mut server = Server::start(arguments);
    let body = review(&pod("storage")).to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let mut stream = connect(server.https, any_certificate());
    write!(
        stream,
        "POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    )
    .unwrap();
    stream.flush().unwrap();
    let start = Instant::now();
    while server.metric("sriov_webhook_reviews_in_flight") < 1.0 {
        assert!(start.elapsed() < PATIENCE, "the request is not seen");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal("TERM");
    server.logged(|line| line["message"] == "stopping: draining");
    stream.write_all(second.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert!(answer.contains(r#""allowed":true"#), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
    server.logged(|line| line["message"] == "stopped");
}

#[rstest]
#[case::no_such_flag(&["serve", "--network", "x"], 2, "unexpected argument '--network' found")]
#[case::both_certificates(&["serve", "--tls-dir", "x", "--self-signed"], 2, "cannot be used with")]
#[case::no_such_file(&["serve", "--networks", "/none.yaml"], 1, "cannot start without networks: /none.yaml: ")]
#[case::address(&["serve", "--listen", "here"], 2, "invalid value 'here' for '--listen <ADDRESS>'")]
fn wrong_flags(#[case] arguments: &[&str], #[case] code: i32, #[case] sentence: &str) {
    let output = program().args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(sentence), "{said}");
}

/// The pod after the webhook, and another one that somebody stripped afterwards.
fn patched_and_stripped(server: &Server) -> (Value, Value) {
    let stripped = pod("storage");
    let mut patched = stripped.clone();
    let answer = server.post(&review(&patched).to_string()).json();
    json_patch::patch(&mut patched, &patch(&answer).unwrap()).unwrap();
    (patched, stripped)
}

#[rstest]
#[case::refuses(&[], false)]
#[case::warns(&["--final-look", "warn"], true)]
fn the_final_look_knows_what_was_undone(#[case] flags: &[&str], #[case] allowed: bool) {
    let mut arguments = vec!["--networks".to_owned(), repository("examples").display().to_string()];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let server = Server::start(arguments);
    let look = |pod: &Value| server.post_as("/validate", "application/json", &review(pod).to_string()).json();
    let (patched, stripped) = patched_and_stripped(&server);

    let fine = look(&patched);
    assert_eq!(
        (&fine["response"]["allowed"], &fine["response"]["patch"]),
        (&json!(true), &Value::Null),
        "{fine}"
    );
    let lacking = look(&stripped);
    let response = &lacking["response"];
    assert_eq!(response["allowed"], allowed, "{lacking}");
    let said = if allowed { &response["warnings"][0] } else { &response["status"]["message"] };
    let expected =
        "the pod would be stored without what its networks need: it requests 0 of 1 intel.com/sriov_vfio. ";
    assert!(said.as_str().unwrap().starts_with(expected), "{lacking}");
    assert_eq!(response["patch"], Value::Null);

    let outcome =
        if allowed { r#"outcome="warned",reason="""# } else { r#"outcome="denied",reason="incomplete""# };
    let count =
        |labels: &str| server.metric(&format!("sriov_webhook_reviews_total{{kind=\"final\",{labels}}}"));
    assert_eq!((count(outcome), count(r#"outcome="unchanged",reason="""#)), (1.0, 1.0));
}
