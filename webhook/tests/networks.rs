//! `sriov-webhook serve` and where its networks come from, as far as that needs no API server.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

mod harness;

use std::net::{SocketAddr, TcpListener};

use harness::{Server, program, review};
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpSocket;

#[rstest]
#[case::none(
    &[],
    "no networks: name a file of NetworkAttachmentDefinitions with --networks, or a cluster with --kubeconfig; \
     in a pod with a ServiceAccount the cluster is found without"
)]
#[case::kubeconfig(
    &["--kubeconfig", "/no/such/file"],
    "cannot use --kubeconfig: failed to read kubeconfig from '\"/no/such/file\"': No such file or directory (os \
     error 2)"
)]
fn it_does_not_start_without_networks(#[case] arguments: &[&str], #[case] sentence: &str) {
    let output = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr), (Some(1), format!("sriov-webhook serve: {sentence}\n")));
}

/// On the networks of an API server at this address.
fn on_api_server(address: SocketAddr) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "away",
        "contexts": [{"name": "away", "context": {"cluster": "away", "user": "away"}}],
        "clusters": [{"name": "away", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "away", "user": {}}],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    Server::start(["--kubeconfig", kubeconfig.to_str().unwrap(), "--self-signed"])
}

#[rstest]
#[case::soon("/mutate?timeout=1s", "0.5 s")]
#[case::as_ever("/mutate?timeout=10s", "2 s")]
fn a_look_up_is_given_up_while_the_api_server_still_waits(#[case] path: &str, #[case] within: &str) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = on_api_server(silent.local_addr().unwrap());
    let pod = json!({
        "metadata": {
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {"k8s.v1.cni.cncf.io/networks": "storage"},
        },
        "spec": {"containers": [{"name": "compute"}]},
    });
    let answer = server.post_as(path, "application/json", &review(&pod).to_string()).json();
    let message = answer.pointer("/response/status/message").unwrap().as_str().unwrap();
    assert!(message.contains(&format!("the API server did not answer within {within}")), "{message}");
}

#[test]
fn an_api_server_that_is_away_is_named_once_and_waited_for() {
    // Nobody else gets the port, and nobody listens.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = on_api_server(taken.local_addr().unwrap());
    let sentence = "cannot ask for permissions on network-attachment-definitions.k8s.cni.cncf.io in all namespaces: \
                    the API server does not answer: Connection refused (os error 111)";
    server.logged(|line| line["message"] == sentence);
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.body, format!("networks: {sentence}\n"));
    while server.metric("sriov_webhook_networks_source_failures_total") < 3.0 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let lines = server.log().into_iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(lines, 1, "{:#?}", server.log());
    assert_eq!(server.get("/livez").status, 200);
}
