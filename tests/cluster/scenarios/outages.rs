//! The API server is away, the watch is cut, the past is forgotten.

use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};
use tests::api_server::{ControlPlane, Link, Load, Pod, Sandbox, ServingCertificate, Webhook};

const SILENCE: &str = "sriov_webhook_networks_silence_seconds";

fn launcher(networks: &str) -> Pod {
    Pod::virt_launcher("one").networks(networks)
}

#[tokio::test]
async fn an_api_server_killed_and_restarted_under_load() {
    let sandbox = Sandbox::in_control_plane(ControlPlane::start("killed"), "killed");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let tls = ServingCertificate::issue();
    let webhook = Webhook::start_with(&sandbox, &sandbox.webhook_kubeconfig().await, &tls);
    let load = Load::of_pods(&sandbox, &launcher("sriov-net"), "intel.com/sriov_vfio=1", 4);
    load.wait_for_more(100);

    sandbox.control_plane().kill_api_server();
    // Another API server's questions are answered meanwhile.
    let reviewer = webhook.reviewer(&tls.ca);
    let start = Instant::now();
    let mut answered = 0;
    while start.elapsed() < Duration::from_secs(5) {
        let devices = reviewer.review("killed", &launcher("sriov-net")).await;
        assert_eq!(devices.as_deref(), Ok("intel.com/sriov_vfio=1"));
        answered += 1;
    }
    assert!(answered > 100, "{answered} reviews in 5 s");
    let refusal = reviewer.review("killed", &launcher("storage")).await.unwrap_err();
    assert!(refusal.contains("killed/storage") && refusal.contains("could not be looked up"), "{refusal}");
    assert!(!refusal.contains("does not exist"), "{refusal}");
    assert!(webhook.metric(SILENCE) > 4.0, "{}", webhook.metric(SILENCE));
    assert_eq!(webhook.admin("/readyz").unwrap().code, 200);

    sandbox.control_plane().restart_api_server();
    load.wait_for_more(100);
    sandbox.apply_network("added-later", "intel.com/later");
    sandbox.wait_for(&launcher("added-later"), "intel.com/later");
    sandbox.apply_network("added-later", "intel.com/changed");
    sandbox.wait_for(&launcher("added-later"), "intel.com/changed");
    assert!(webhook.metric(SILENCE) < 60.0);
    // Refusals and webhooks that fail are what may not be; that nobody answers cannot be helped.
    let failures = load.stop();
    assert!(!failures.is_empty(), "the API server was away");
    let ours: Vec<_> = failures.iter().filter(|failure| failure.contains("admission")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[tokio::test]
async fn a_watch_that_is_cut() {
    let sandbox = Sandbox::new("cut");
    sandbox.apply_network("sriov-net", "intel.com/change-0");
    let link = Link::to(sandbox.control_plane().address());
    let kubeconfig = sandbox.webhook_kubeconfig_by(link.address()).await;
    let webhook = Webhook::start_with(&sandbox, &kubeconfig, &ServingCertificate::issue());
    for change in 1..=5 {
        let resource = format!("intel.com/change-{change}");
        link.interrupt();
        sandbox.apply_network("sriov-net", &resource);
        sandbox.wait_for(&launcher("sriov-net"), &format!("\"{resource}\": \"1\""));
    }

    link.cut();
    sandbox.apply_network("sriov-net", "intel.com/unseen");
    sandbox.apply_network("unseen", "intel.com/unseen");
    // What it knows goes on, and what it does not know it does not deny.
    sandbox.wait_for(&launcher("sriov-net"), "\"intel.com/change-5\": \"1\"");
    sandbox.wait_for(&launcher("unseen"), "cut/unseen: it is not known here and could not be looked up");
    webhook.logged("cannot watch network-attachment-definitions.k8s.cni.cncf.io in all namespaces");
    let tries = link.accepted();
    let failures = webhook.metric("sriov_webhook_networks_source_failures_total");
    while webhook.metric("sriov_webhook_networks_source_failures_total") < failures + 3.0 {
        thread::sleep(Duration::from_millis(50));
    }
    assert!(link.accepted() > tries);
    link.mend();
    sandbox.wait_for(&launcher("sriov-net"), "\"intel.com/unseen\": \"1\"");
    webhook.logged("watching NetworkAttachmentDefinitions again");
}

#[tokio::test]
async fn a_past_that_etcd_has_forgotten() {
    let sandbox = Sandbox::in_control_plane(ControlPlane::start("compacted"), "compacted");
    sandbox.apply_network("deleted", "intel.com/deleted");
    sandbox.apply_network("changed", "intel.com/before");
    let control_plane = sandbox.control_plane();
    let link = Link::to(control_plane.address());
    let kubeconfig = sandbox.webhook_kubeconfig_by(link.address()).await;
    let webhook = Webhook::start_with(&sandbox, &kubeconfig, &ServingCertificate::issue());
    sandbox.wait_for(&launcher("deleted,changed"), "intel.com/before");

    link.cut();
    let kubectl = sandbox.kubectl();
    kubectl.run(["delete", "nad", "deleted", "--namespace", "compacted"]).expect_success();
    sandbox.apply_network("changed", "intel.com/after");
    let range = json!({"key": "Lw==", "limit": 1});
    let revision = control_plane.etcd("/v3/kv/range", &range)["header"]["revision"].clone();
    control_plane.etcd("/v3/kv/compaction", &json!({"revision": revision, "physical": true}));
    // Its cache of recent changes goes as well.
    control_plane.kill_api_server();
    control_plane.restart_api_server();
    link.mend();

    webhook.logged("fell too far behind: listing all of them again");
    sandbox.wait_for(&launcher("changed"), "intel.com/after");
    sandbox.wait_for(&launcher("deleted"), "does not exist");
    assert_eq!(webhook.metric("sriov_webhook_networks_known"), 1.0);
}
