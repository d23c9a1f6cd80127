//! Managed certificates: made, shared, rolled and put back, in a real Secret and a real registration.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tests::api_server::{
    Balancer, Load, Output, Pod, Reviewer, Sandbox, ServingCertificate, StoredPod, Webhook,
};

const READY_WITHIN: Duration = Duration::from_secs(60);

async fn registration(sandbox: &Sandbox) -> MutatingWebhookConfiguration {
    let registrations: Api<MutatingWebhookConfiguration> = Api::all(sandbox.client().await);
    registrations.get(&sandbox.webhook_name()).await.unwrap()
}

/// `caBundle` as PEM.
async fn bundle(sandbox: &Sandbox) -> String {
    bundle_of(registration(sandbox).await)
}

fn bundle_of(registration: MutatingWebhookConfiguration) -> String {
    let webhook = registration.webhooks.unwrap_or_default().into_iter().next().unwrap();
    String::from_utf8(webhook.client_config.ca_bundle.unwrap_or_default().0).unwrap()
}

fn certificates(pem: &str) -> Vec<String> {
    let end = "-----END CERTIFICATE-----\n";
    pem.split_inclusive(end)
        .filter(|part| part.contains("BEGIN"))
        .map(|part| part.trim().to_owned())
        .collect()
}

async fn secret(sandbox: &Sandbox) -> Secret {
    let secrets: Api<Secret> = Api::namespaced(sandbox.client().await, &sandbox.system_namespace());
    secrets.get(&format!("{}-tls", sandbox.webhook_name())).await.unwrap()
}

fn data(secret: &Secret, key: &str) -> String {
    let data = secret.data.as_ref().unwrap();
    let value = data.get(key).unwrap_or_else(|| panic!("no {key} among {:?}", data.keys()));
    String::from_utf8(value.0.clone()).unwrap()
}

fn launcher(name: &str) -> Pod {
    Pod::virt_launcher(name).networks("sriov-net")
}

/// `sriov-webhook certs …` with the flags that the chart gives the webhook, and its permissions.
async fn certs(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let flags = Webhook::managed_flags(sandbox, &sandbox.webhook_kubeconfig().await);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Webhook::command(&[&["certs"], arguments, &flags].concat())
}

#[tokio::test]
async fn the_first_start_writes_secret_and_bundle() {
    let sandbox = Sandbox::new("first-start");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    let webhook = Webhook::spawn_managed(&sandbox, "webhook", &kubeconfig, &[]);
    webhook.register(&sandbox, "");
    assert_eq!(webhook.admin("/readyz").unwrap().code, 200);
    sandbox.apply_pod(&launcher("one")).expect_success();
    assert_eq!(StoredPod::read(&sandbox, "one").await.devices("compute"), "intel.com/sriov_vfio=1");

    let secret = secret(&sandbox).await;
    assert_eq!(certificates(&data(&secret, "ca.crt")), certificates(&bundle(&sandbox).await));
    assert!(data(&secret, "tls.key").contains("PRIVATE KEY"));
    // What others have in the registration is left to them.
    let managers = registration(&sandbox).await.metadata.managed_fields.unwrap();
    let ours: Vec<_> =
        managers.iter().filter(|one| one.manager.as_deref() == Some("sriov-webhook")).collect();
    assert_eq!(ours.len(), 1);
    let fields = &ours[0].fields_v1.as_ref().unwrap().0;
    let pods = format!("k:{{\"name\":\"{}\"}}", sandbox.webhook_entry());
    let vmis = format!("k:{{\"name\":\"vmis.{}\"}}", sandbox.webhook_entry());
    let bundle_alone = json!({"f:clientConfig": {"f:caBundle": {}}});
    assert_eq!(*fields, json!({"f:webhooks": {pods: bundle_alone, vmis: bundle_alone}}));

    let inspected = certs(&sandbox, &["inspect"]).await.expect_success();
    assert!(inspected.contains("127.0.0.1"), "{inspected}");
}

#[tokio::test]
async fn a_secret_that_nobody_made_is_made() {
    let sandbox = Sandbox::new("no-secret");
    let (namespace, ours) = (sandbox.system_namespace(), sandbox.webhook_name());
    let kubectl = sandbox.kubectl();
    kubectl.run(["delete", "secret", &format!("{ours}-tls"), "--namespace", &namespace]).expect_success();
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    let webhook = Webhook::spawn_managed(&sandbox, "webhook", &kubeconfig, &[]);
    Webhook::apply_registration(&sandbox, webhook.address(), "");
    let sentence = format!("not allowed to create Secret {namespace}/{ours}-tls");
    webhook.logged(&sentence);
    assert!(webhook.admin("/readyz").unwrap().body.contains(&sentence));

    let (role, account) = (format!("{ours}-create"), format!("--serviceaccount={namespace}:{ours}"));
    let create = ["create", "role", &role, "--verb=create", "--resource=secrets", "--namespace", &namespace];
    kubectl.run(create).expect_success();
    let role = format!("--role={role}");
    kubectl
        .run(["create", "rolebinding", "create", &role, &account, "--namespace", &namespace])
        .expect_success();
    webhook.wait_until_ready(READY_WITHIN);
    assert_eq!(secret(&sandbox).await.type_.as_deref(), Some("kubernetes.io/tls"));
}

#[tokio::test]
async fn three_replicas_at_once_agree() {
    let sandbox = Sandbox::new("replicas");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    let logs = ["webhook-1", "webhook-2", "webhook-3"];
    let replicas = logs.map(|log| Webhook::spawn_managed(&sandbox, log, &kubeconfig, &[]));
    let service = Balancer::start();
    replicas.iter().for_each(|replica| service.add(replica.address()));
    Webhook::register_at(&sandbox, service.address(), "");
    let mut first = 0;
    for replica in &replicas {
        replica.wait_until_ready(READY_WITHIN);
        first += replica.log().matches("made the first CA and serving certificate").count();
    }
    assert_eq!(first, 1, "one of the three made it");
    let secret = secret(&sandbox).await;
    let bundle = bundle(&sandbox).await;
    assert_eq!(certificates(&bundle).len(), 1);
    assert_eq!(certificates(&bundle), certificates(&data(&secret, "ca.crt")));
    for replica in &replicas {
        let devices = replica.reviewer(&bundle).review("replicas", &launcher("one")).await;
        assert_eq!(devices.as_deref(), Ok("intel.com/sriov_vfio=1"));
    }
    let load = Load::of_pods(&sandbox, &launcher("one"), "intel.com/sriov_vfio=1", 2);
    load.wait_for_more(50);
    assert_eq!(load.stop(), [""; 0]);
}

#[tokio::test]
async fn a_rolled_ca_fails_no_admission() {
    let sandbox = Sandbox::new("rolled");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    let logs = ["webhook-1", "webhook-2", "webhook-3"];
    let settle = ["--ca-settle", "3s"];
    let replicas = logs.map(|log| Webhook::spawn_managed(&sandbox, log, &kubeconfig, &settle));
    let service = Balancer::start();
    replicas.iter().for_each(|replica| service.add(replica.address()));
    Webhook::register_at(&sandbox, service.address(), "");
    for replica in &replicas {
        replica.wait_until_ready(READY_WITHIN);
    }
    let pods = Load::of_pods(&sandbox, &launcher("one"), "intel.com/sriov_vfio=1", 3);
    let connections = new_connections(&sandbox, service.address());
    pods.wait_for_more(50);
    let first = certificates(&bundle(&sandbox).await);
    assert_eq!(first.len(), 1);

    for roll in 1..=2 {
        let before = certificates(&bundle(&sandbox).await);
        let said = certs(&sandbox, &["roll-ca", "--wait", "60s", "--ca-settle", "3s"]).await.expect_success();
        assert!(said.contains("The new CA signs"), "{said}");
        let after = certificates(&bundle(&sandbox).await);
        assert_eq!(after.len(), 1 + roll, "old and new side by side");
        // Each replica shows a certificate of the new CA.
        let new: Vec<_> = after.into_iter().filter(|one| !before.contains(one)).collect();
        let new = new.join("\n") + "\n";
        for replica in &replicas {
            let deadline = Instant::now() + READY_WITHIN;
            while replica.reviewer(&new).review("rolled", &launcher("one")).await.is_err() {
                assert!(Instant::now() < deadline, "still the old CA's certificate");
                thread::sleep(Duration::from_millis(50));
            }
        }
        pods.wait_for_more(50);
        connections.wait_for_more(20);
    }
    certs(&sandbox, &["renew"]).await.expect_success();
    pods.wait_for_more(100);
    connections.wait_for_more(50);
    println!("{} pods and {} new connections while the CA was rolled twice", pods.done(), connections.done());
    assert_eq!(pods.stop(), [""; 0]);
    assert_eq!(connections.stop(), [""; 0]);
}

/// The API server keeps its connections to a webhook, and trusts what it knew when it made them. So these are
/// made again all the time, and each checks the chain against the bundle as it is in the registration just then.
fn new_connections(sandbox: &Sandbox, address: SocketAddr) -> Load {
    let (plane, name) = (Arc::clone(sandbox.control_plane()), sandbox.webhook_name());
    let connect = move || {
        let plane = Arc::clone(&plane);
        async move { Api::<MutatingWebhookConfiguration>::all(plane.client().await) }
    };
    Load::start(1, connect, move |registrations| {
        let name = name.clone();
        async move {
            let registration = registrations.get(&name).await.map_err(|error| format!("{error:?}"))?;
            let bundle = bundle_of(registration);
            let reviewer = Reviewer::new(&format!("https://{address}/mutate"), &bundle);
            reviewer.review("rolled", &launcher("one")).await.map(drop)
        }
    })
}

#[tokio::test]
async fn a_bundle_that_was_overwritten_comes_back() {
    let sandbox = Sandbox::new("overwritten");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    let webhook = Webhook::spawn_managed(&sandbox, "webhook", &kubeconfig, &[]);
    webhook.register(&sandbox, "");
    let good = bundle(&sandbox).await;
    let foreign = ServingCertificate::issue().ca;
    for bad in [foreign.as_str(), "", "-----BEGIN CERTIFICATE-----\n"] {
        let bundle_of = json!({"webhooks": [{"name": sandbox.webhook_entry(),
            "clientConfig": {"caBundle": ByteString(bad.as_bytes().to_vec())}}]});
        let patch = bundle_of.to_string();
        let name = sandbox.webhook_name();
        let kubectl = sandbox.kubectl();
        let output = kubectl.run(["patch", "mutatingwebhookconfiguration", &name, "--patch", &patch]);
        if !output.success() {
            // The API server itself refuses what is not a certificate.
            assert!(output.stderr.contains("caBundle"), "{}", output.stderr);
            continue;
        }
        let start = Instant::now();
        loop {
            let now = bundle(&sandbox).await;
            let has_ours = certificates(&good).iter().all(|ours| certificates(&now).contains(ours));
            if has_ours && sandbox.apply_pod(&launcher("one")).success() {
                break;
            }
            assert!(start.elapsed() < READY_WITHIN, "still {now}");
        }
        println!("the bundle came back after {:?}", start.elapsed());
        sandbox
            .kubectl()
            .run(["delete", "pod", "one", "--namespace", "overwritten", "--now"])
            .expect_success();
    }
    assert_eq!(webhook.admin("/readyz").unwrap().code, 200);
}
