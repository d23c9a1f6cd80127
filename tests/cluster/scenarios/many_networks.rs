//! Very many networks.

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use tests::api_server::{ControlPlane, Pod, Sandbox, ServingCertificate, StoredPod, Webhook};

const NETWORKS: usize = 20_000;

/// Puts networks straight into etcd, as the API server would have stored them: 20,000 creations through it
/// take a minute.
fn fill(sandbox: &Sandbox) {
    let encode = |bytes: Vec<u8>| json!(ByteString(bytes));
    let namespace = sandbox.namespace();
    for numbers in (0..NETWORKS).collect::<Vec<_>>().chunks(100) {
        let put = |&number: &usize| -> Value {
            let name = format!("net-{number:05}");
            let mut network = sandbox.network(&name, &format!("intel.com/vf_{}", number % 8));
            network["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
            network["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
            network["metadata"]["generation"] = json!(1);
            let key = format!("/registry/k8s.cni.cncf.io/network-attachment-definitions/{namespace}/{name}");
            let value = encode(network.to_string().into_bytes());
            json!({"requestPut": {"key": encode(key.into_bytes()), "value": value}})
        };
        let puts: Vec<_> = numbers.iter().map(put).collect();
        let answer = sandbox.control_plane().etcd("/v3/kv/txn", &json!({"success": puts}));
        assert_eq!(answer["succeeded"], true, "{answer}");
    }
}

#[tokio::test]
async fn twenty_thousand_networks_at_the_start() {
    let sandbox = Sandbox::in_control_plane(ControlPlane::start("many"), "many");
    fill(&sandbox);
    let tls = ServingCertificate::issue();
    let folder = tls.write(&sandbox.folder().join("tls"));
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    let arguments = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--tls-dir", folder.to_str().unwrap()];
    let start = Instant::now();
    let mut webhook = Webhook::spawn(&sandbox, "webhook", &arguments);
    webhook.wait_until_ready(Duration::from_secs(120));
    let ready = start.elapsed();
    assert_eq!(webhook.metric("sriov_webhook_networks_known"), NETWORKS as f64);
    webhook.register(&sandbox, &tls.ca);
    let pod = Pod::virt_launcher("one").networks("net-00000,net-07777,net-19999");
    sandbox.apply_pod(&pod).expect_success();
    let stored = StoredPod::read(&sandbox, "one").await;
    assert_eq!(stored.devices("compute"), "intel.com/vf_0=1, intel.com/vf_1=1, intel.com/vf_7=1");
    // None of them had to be asked for.
    assert_eq!(webhook.metric("sriov_webhook_live_look_ups_total"), 0.0);

    let status = fs::read_to_string(format!("/proc/{}/status", webhook.process().id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim();
    println!("ready with {NETWORKS} networks after {ready:?}, {resident} resident");
    let kilobytes: usize = resident.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 100 * 1024, "{resident}");
}
