//! Logging in as kubeconfigs say, with all that kubectl's users have in theirs, against an API server of canned lists.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod fake_api;
mod issuer;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fake_api::FakeApi;
use issuer::Issuer;
use rstest::rstest;
use serde_json::{Value, json};

fn api() -> FakeApi {
    let mut lists = fake_api::around("sriov", &json!({}));
    lists.insert("network-attachment-definitions", Ok(Vec::new()));
    lists.insert("pods", Ok(Vec::new()));
    FakeApi::start(lists)
}

/// `review --from-cluster` with nothing of this environment, on which logins and proxies depend.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"));
    command.args(["review", "--from-cluster"]).args(arguments).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    command
}

fn review(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The values of a header in all requests, each once.
fn values(api: &FakeApi, name: &str) -> Vec<String> {
    let headers = api.headers.lock().unwrap();
    let mut values: Vec<String> = headers
        .iter()
        .filter_map(|header| header.strip_prefix(&format!("{name}: ")))
        .map(str::to_owned)
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn plugin(command: &str, more: &Value) -> Value {
    let mut exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "IfAvailable"});
    exec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "exec": exec })
}

/// Prints an ExecCredential. What it finds on its standard input it takes, as one that asks for a password does.
const LOG_IN: &str = r#"cat >/dev/null
echo run >>"$0.runs"
echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"of-$REALM-for-$1\"}}""#;

#[test]
fn a_plugin_logs_in_and_leaves_standard_input_alone() {
    let api = api();
    let script = api.script("log-in", LOG_IN);
    let user = plugin(&script, &json!({"args": ["lab"], "env": [{"name": "REALM", "value": "vms"}]}));
    let kubeconfig = api.kubeconfig_of(user, &json!({}));
    let mut child = command(&["--kubeconfig", &kubeconfig, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "virt-launcher-a", "labels": {"kubevirt.io": "virt-launcher"}},
                     "spec": {"containers": [{"name": "compute"}]}});
    child.stdin.take().unwrap().write_all(pod.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).starts_with("default/virt-launcher-a: passes"),
        "{output:?}"
    );
    assert_eq!(values(&api, "authorization"), ["Bearer of-vms-for-lab"]);
    // docs/kubectl.md says how often.
    let runs = std::fs::read_to_string(format!("{script}.runs")).unwrap().lines().count();
    assert!((1..=3).contains(&runs), "{runs}");
}

#[rstest]
#[case::that_fails(
    "echo 'no ticket: run kinit' >&2; exit 3",
    "failed (exit status: 3): no ticket: run kinit\n"
)]
#[case::that_fails_silently("exit 3", "failed (exit status: 3): it says nothing, or said it above\n")]
#[case::that_prints_something_else("echo welcome", "printed what is not an ExecCredential: ")]
#[case::that_prints_half_of_it(
    r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}'"#,
    "printed an ExecCredential without a status: see its documentation\n"
)]
fn a_plugin(#[case] script: &str, #[case] said: &str) {
    let api = api();
    let path = api.script("log-in", script);
    let kubeconfig = api.kubeconfig_of(plugin(&path, &json!({})), &json!({}));
    let output = review(&["--kubeconfig", &kubeconfig]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let start = format!("sriov-webhook review: the login plugin {path:?} {said}");
    assert!(stderr(&output).starts_with(&start), "{}", stderr(&output));
    assert!(api.asked.lock().unwrap().is_empty());
}

#[test]
fn a_plugin_that_is_absent_is_named_with_its_hint() {
    let api = api();
    let hint = json!({"installHint": "Install it with: apt install log-in\n"});
    let kubeconfig = api.kubeconfig_of(plugin("log-in-that-is-absent", &hint), &json!({}));
    insta::assert_snapshot!(stderr(&review(&["--kubeconfig", &kubeconfig])), @r#"sriov-webhook review: cannot run the login plugin "log-in-that-is-absent": No such file or directory (os error 2): Install it with: apt install log-in"#);
}

/// A token that expires this many seconds from now.
fn token(name: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"sub": name, "exp": i64::try_from(now).unwrap() + seconds}).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn oidc(config: &Value) -> Value {
    json!({"auth-provider": {"name": "oidc", "config": config}})
}

#[test]
fn a_valid_id_token_is_sent() {
    let api = api();
    let token = token("ann", 600);
    let kubeconfig = api.kubeconfig_of(oidc(&json!({"id-token": token})), &json!({}));
    let output = review(&["--kubeconfig", &kubeconfig]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(values(&api, "authorization"), [format!("Bearer {token}")]);
}

#[test]
fn an_expired_id_token_is_renewed_at_its_issuer() {
    let api = api();
    let new = token("ann", 600);
    let issuer = Issuer::start(&new);
    let config = json!({
        "id-token": token("ann", -60), "refresh-token": "again", "client-id": "kubernetes", "idp-issuer-url": issuer.url,
    });
    let kubeconfig = api.kubeconfig_of(oidc(&config), &json!({}));
    let output = command(&["--kubeconfig", &kubeconfig]).env("SSL_CERT_FILE", issuer.ca()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(values(&api, "authorization"), [format!("Bearer {new}")]);
    let asked = issuer.asked.lock().unwrap().clone();
    assert_eq!(asked[0], "GET /.well-known/openid-configuration");
    assert!(asked[1].starts_with("POST /token grant_type=refresh_token&refresh_token=again"), "{asked:?}");
    let said = stderr(&output);
    assert!(
        said.starts_with("the id-token of user \"u\" has expired: a new one is requested and not stored; "),
        "{said}"
    );
}

#[test]
fn an_issuer_that_refuses_is_not_a_cluster_that_is_away() {
    let api = api();
    let issuer = Issuer::start("");
    let config = json!({
        "id-token": token("ann", -60), "refresh-token": "again", "client-id": "kubernetes", "idp-issuer-url": issuer.url,
    });
    let kubeconfig = api.kubeconfig_of(oidc(&config), &json!({}));
    let output = command(&["--kubeconfig", &kubeconfig]).env("SSL_CERT_FILE", issuer.ca()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = stderr(&output);
    assert!(
        said.contains(
            "cannot list network-attachment-definitions.k8s.cni.cncf.io in all namespaces: cannot log in: "
        ),
        "{said}"
    );
}

/// A proxy that leads each CONNECT to where it is asked to, and remembers the heads.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming() {
            tunnel(stream.unwrap(), &log);
        }
    });
    (address, heads)
}

fn tunnel(client: TcpStream, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let target = head.split(' ').nth(1).unwrap().to_owned();
    log.lock().unwrap().push(head);
    let server = TcpStream::connect(target).unwrap();
    let mut client = client;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    let (mut to_server, mut from_server, mut to_client) = (server.try_clone().unwrap(), server, client);
    // Each way ends with its connection.
    thread::spawn(move || drop(std::io::copy(&mut reader, &mut to_server)));
    thread::spawn(move || drop(std::io::copy(&mut from_server, &mut to_client)));
}

#[test]
fn the_proxy_of_the_kubeconfig_is_used() {
    let api = api();
    let (address, heads) = proxy();
    let url = format!("http://ann:se%40cret@{address}");
    let kubeconfig = api.kubeconfig_of(json!({"token": "t"}), &json!({"proxy-url": url}));
    let output = command(&["--kubeconfig", &kubeconfig]).env("NO_PROXY", "127.0.0.1").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", api.address)), "{heads:?}");
    // ann:se@cret
    assert!(heads[0].to_lowercase().contains("proxy-authorization: basic "), "{heads:?}");
    assert!(heads[0].contains("Basic YW5uOnNlQGNyZXQ="), "{heads:?}");
    assert_eq!(values(&api, "authorization"), ["Bearer t"]);
}

#[test]
fn a_proxy_of_the_environment_is_not_used_for_loopback() {
    let api = api();
    let kubeconfig = api.kubeconfig_of(json!({"token": "t"}), &json!({}));
    // Nobody listens there.
    let output =
        command(&["--kubeconfig", &kubeconfig]).env("HTTP_PROXY", "http://127.0.0.1:9").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused() {
    let api = api();
    let kubeconfig =
        api.kubeconfig_of(json!({"token": "t"}), &json!({"proxy-url": "ftp://ann:secret@proxy.example"}));
    insta::assert_snapshot!(stderr(&review(&["--kubeconfig", &kubeconfig])), @"sriov-webhook review: the proxy-url of the kubeconfig's cluster is not a valid proxy: write a URL that begins with http://, https:// or socks5://");
}

#[rstest]
#[case::user(&["--as", "jane"], &["jane"], &[], &[])]
#[case::groups(&["--as", "jane", "--as-group", "ops", "--as-group", "dev"], &["jane"], &["dev", "ops"], &[])]
#[case::uid(&["--as", "jane", "--as-uid", "42"], &["jane"], &[], &["42"])]
#[case::nobody(&[], &[], &[], &[])]
fn impersonation(
    #[case] arguments: &[&str],
    #[case] user: &[&str],
    #[case] groups: &[&str],
    #[case] uid: &[&str],
) {
    let api = api();
    let kubeconfig = api.kubeconfig_of(json!({"token": "t"}), &json!({}));
    let output = review(&[&["--kubeconfig", &kubeconfig], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(values(&api, "impersonate-user"), user);
    assert_eq!(values(&api, "impersonate-group"), groups);
    assert_eq!(values(&api, "impersonate-uid"), uid);
}

#[test]
fn another_user_does_not_get_the_groups_of_the_kubeconfigs() {
    let api = api();
    let user = json!({"token": "t", "as": "ann", "as-groups": ["admins"]});
    let kubeconfig = api.kubeconfig_of(user, &json!({}));
    review(&["--kubeconfig", &kubeconfig]);
    assert_eq!(
        (values(&api, "impersonate-user"), values(&api, "impersonate-group")),
        (vec!["ann".to_owned()], vec!["admins".to_owned()])
    );
    api.headers.lock().unwrap().clear();
    review(&["--kubeconfig", &kubeconfig, "--as", "jane"]);
    assert_eq!(
        (values(&api, "impersonate-user"), values(&api, "impersonate-group")),
        (vec!["jane".to_owned()], Vec::new())
    );
}

#[test]
fn a_group_without_a_user_is_refused() {
    let api = api();
    let kubeconfig = api.kubeconfig_of(json!({"token": "t"}), &json!({}));
    let output = review(&["--kubeconfig", &kubeconfig, "--as-group", "ops"]);
    insta::assert_snapshot!(stderr(&output), @"sriov-webhook review: --as-group and --as-uid need a user: name one with --as");
    assert_eq!(output.status.code(), Some(2));
}

/// The lists of pods that were requested.
fn pods(api: &FakeApi) -> Vec<String> {
    let asked = api.asked.lock().unwrap();
    asked
        .iter()
        .filter_map(|path| path.split('?').next())
        .filter(|path| path.ends_with("/pods"))
        .map(str::to_owned)
        .collect()
}

#[rstest]
#[case::of_the_context(&[], &["/api/v1/namespaces/vms/pods"])]
#[case::of_another_context(&["--context", "other"], &["/api/v1/namespaces/default/pods"])]
#[case::named(&["-n", "web"], &["/api/v1/namespaces/web/pods"])]
#[case::two_of_them(&["--namespace", "web", "-n", "db"], &["/api/v1/namespaces/web/pods", "/api/v1/namespaces/db/pods"])]
#[case::all(&["-A"], &["/api/v1/pods"])]
#[case::all_whatever_is_named(&["-A", "-n", "web"], &["/api/v1/pods"])]
fn namespaces(#[case] arguments: &[&str], #[case] expected: &[&str]) {
    let api = api();
    let path = api.kubeconfig_of(json!({"token": "t"}), &json!({}));
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config["contexts"] = json!([
        {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "vms"}},
        {"name": "other", "context": {"cluster": "c", "user": "u"}},
    ]);
    std::fs::write(&path, config.to_string()).unwrap();
    let output = review(&[&["--kubeconfig", &path], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(pods(&api), expected);
}

#[test]
fn a_pod_in_a_file_is_of_the_namespace_that_was_named() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "virt-launcher-a"}, "spec": {"containers": [{"name": "compute"}]}});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pod.json").display().to_string();
    std::fs::write(&path, pod.to_string()).unwrap();
    let api = api();
    let kubeconfig = api.kubeconfig_of(json!({"token": "t"}), &json!({}));
    for (arguments, namespace) in [(&["-n", "web"][..], "web"), (&[], "default")] {
        let output = review(&[&["--kubeconfig", &kubeconfig, &path], arguments].concat());
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(&format!("{namespace}/virt-launcher-a: ")), "{said}");
    }
}

#[test]
fn kubeconfigs_are_found_where_kubectl_finds_them() {
    let api = api();
    let path = api.kubeconfig_of(json!({"token": "of-the-list"}), &json!({}));
    let list = format!("/nowhere/kubeconfig:{path}");
    let output = command(&[]).env("KUBECONFIG", &list).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(values(&api, "authorization"), ["Bearer of-the-list"]);

    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::copy(&path, home.path().join(".kube/config")).unwrap();
    // A pod with a kubeconfig of its own means that one, as with kubectl.
    let output =
        command(&[]).env("HOME", home.path()).env("KUBERNETES_SERVICE_HOST", "192.0.2.1").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let output = command(&[]).env("KUBECONFIG", "/nowhere/a:/nowhere/b").output().unwrap();
    insta::assert_snapshot!(stderr(&output), @"sriov-webhook review: cannot use KUBECONFIG: /nowhere/a:/nowhere/b does not exist: correct it, or unset it");
    let output = command(&["--context", "lab"]).env("HOME", "/nowhere").output().unwrap();
    insta::assert_snapshot!(stderr(&output), @"sriov-webhook review: --context lab chooses from a kubeconfig, and there is none: name one with --kubeconfig");
}
