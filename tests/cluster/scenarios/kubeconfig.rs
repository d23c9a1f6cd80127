//! Kubeconfigs as people have them, against a real API server: a login plugin, a proxy, another user's name.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use serde_json::{Value, json};
use tests::api_server::{Output, Sandbox, Webhook};

/// The administrator's kubeconfig, changed, beside the sandbox's other files.
fn kubeconfig(sandbox: &Sandbox, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let text = fs::read_to_string(sandbox.control_plane().admin_kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    let path = sandbox.folder().join(name);
    fs::write(&path, config.to_string()).unwrap();
    path
}

/// `review` of the pods of one namespace.
fn review(kubeconfig: &std::path::Path, arguments: &[&str]) -> Output {
    let kubeconfig = kubeconfig.display().to_string();
    Webhook::command(&[&["review", "--from-cluster", "--kubeconfig", &kubeconfig], arguments].concat())
}

#[test]
fn a_login_plugin_gives_the_token() {
    let sandbox = Sandbox::new("login-plugin");
    let script = sandbox.folder().join("log-in");
    let kubeconfig = kubeconfig(&sandbox, "plugin.kubeconfig", |config| {
        let token = config["users"][0]["user"]["token"].as_str().unwrap();
        let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                                "status": {"token": token}});
        fs::write(&script, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
        config["users"][0]["user"] = json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": script, "interactiveMode": "Never"}});
    });
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let output = review(&kubeconfig, &["--namespace", sandbox.namespace()]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("there are no virt-launcher pods in these namespaces"), "{output:?}");
}

/// A proxy that leads each CONNECT to where it is asked to, and remembers the first lines.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
            }
            log.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            let mut server = TcpStream::connect(head.split(' ').nth(1).unwrap()).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let mut to_server = server.try_clone().unwrap();
            // Each way ends with its connection.
            thread::spawn(move || drop(std::io::copy(&mut reader, &mut to_server)));
            thread::spawn(move || drop(std::io::copy(&mut server, &mut client)));
        }
    });
    (url, lines)
}

#[test]
fn a_proxy_is_used_for_tls_to_the_api_server() {
    let sandbox = Sandbox::new("proxy-url");
    let (url, lines) = proxy();
    let kubeconfig = kubeconfig(&sandbox, "proxy.kubeconfig", |config| {
        config["clusters"][0]["cluster"]["proxy-url"] = json!(url);
    });
    let output = review(&kubeconfig, &["--namespace", sandbox.namespace()]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let expected = format!("CONNECT {} HTTP/1.1", sandbox.control_plane().address());
    assert!(lines.lock().unwrap().contains(&expected), "{lines:?}");
}

#[tokio::test]
async fn acting_as_another_user_shows_what_that_user_may() {
    let sandbox = Sandbox::new("act-as");
    let admin = sandbox.control_plane().admin_kubeconfig();
    let all = ["--all-namespaces"];
    let allowed = review(&admin, &[&all[..], &["--as", "ann", "--as-group", "system:masters"]].concat());
    assert_eq!(allowed.code, Some(0), "{allowed:?}");

    let refused = review(&admin, &[&all[..], &["--as", "jane"]].concat());
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in [
        "sriov-webhook review: not allowed to list network-attachment-definitions.k8s.cni.cncf.io in all namespaces ",
        "User \"jane\" cannot list resource \"network-attachment-definitions\"",
        "): grant \"list\" on them to this program's ServiceAccount or user with a ClusterRole",
    ] {
        assert!(refused.stderr.contains(part), "no {part}: {}", refused.stderr);
    }

    // Who may not act as another at all lacks that permission, and not the one on NADs, which it has.
    let refused = review(&sandbox.webhook_kubeconfig().await, &[&all[..], &["--as", "jane"]].concat());
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in [
        // "resource" or, since Kubernetes 1.36, "-on:user-info:list resource".
        "cannot impersonate",
        "): grant \"impersonate\" on what it names to the kubeconfig's own user with a ClusterRole, or leave out --as",
    ] {
        assert!(refused.stderr.contains(part), "no {part}: {}", refused.stderr);
    }

    let admin = admin.display().to_string();
    let doctor = Webhook::command(&["doctor", "--kubeconfig", &admin, "--as", "jane", "--only", "resource"]);
    assert_eq!(doctor.code, Some(2), "{doctor:?}");
    // Which list is refused first is doctor's own business.
    for part in ["(the API server says: ", "User \"jane\" cannot list resource"] {
        assert!(doctor.stdout.contains(part), "no {part}: {doctor:?}");
    }
}
