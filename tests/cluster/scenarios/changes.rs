//! Networks that come, change and go.

use kube::Api;
use kube::api::{DynamicObject, PostParams};
use std::sync::Arc;
use std::time::Duration;
use tests::api_server::{Pod, Sandbox, ServingCertificate, StoredPod, Webhook};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_network_changed_deleted_and_made_again_counts_as_it_is() {
    let sandbox = Sandbox::new("changed");
    let _webhook = Webhook::start(&sandbox).await;
    let kubectl = sandbox.kubectl();
    let pod = Pod::virt_launcher("one").networks("sriov-net");
    let namespace = sandbox.namespace();

    sandbox.apply_network("sriov-net", "intel.com/first");
    sandbox.wait_for(&pod, "intel.com/first");
    sandbox.apply_network("sriov-net", "intel.com/second");
    sandbox.wait_for(&pod, "intel.com/second");
    // It does not linger in its old form.
    sandbox.apply_network("sriov-net", "second");
    sandbox.wait_for(&pod, "its annotation k8s.v1.cni.cncf.io/resourceName: \"second\"");
    sandbox.apply_network("sriov-net", "intel.com/third");
    sandbox.wait_for(&pod, "intel.com/third");
    kubectl.run(["delete", "nad", "sriov-net", "--namespace", namespace]).expect_success();
    sandbox.wait_for(&pod, "does not exist");
    sandbox.apply_network("sriov-net", "intel.com/fourth");
    sandbox.wait_for(&pod, "intel.com/fourth");
    // A network that needs nothing is not a reason to refuse.
    sandbox.apply_network("sriov-net", "");
    let pod = pod.in_namespace(namespace).to_string();
    while kubectl.dry_run(&pod).expect_success().contains("intel.com/") {}
}

/// Creates a network and, as soon as the API server has it, a pod that names it, `count` times.
async fn create_at_once(sandbox: &Arc<Sandbox>, count: usize) {
    let client = sandbox.client().await;
    let mut running = JoinSet::new();
    for number in 0..count {
        let sandbox = Arc::clone(sandbox);
        let client = client.clone();
        running.spawn(async move {
            let name = format!("at-once-{number}");
            let resource = format!("intel.com/vf-{number}");
            let networks = sandbox.networks(&client);
            let network = serde_json::from_value(sandbox.network(&name, &resource)).unwrap();
            let pod = Pod::virt_launcher(&name).networks(&name).in_namespace(sandbox.namespace());
            let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, sandbox.namespace());
            let pod = serde_json::from_value(pod.value().clone()).unwrap();
            networks.create(&PostParams::default(), &network as &DynamicObject).await.unwrap();
            let stored = pods.create(&PostParams::default(), &pod).await;
            let stored = stored.unwrap_or_else(|error| panic!("pod {name}: {error}"));
            assert_eq!(StoredPod::from(stored).devices("compute"), format!("{resource}=1"));
        });
        if running.len() >= 4 {
            running.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_network_and_its_pod_created_at_once_200_times() {
    let sandbox = Arc::new(Sandbox::new("at-once"));
    let webhook = Webhook::start(&sandbox).await;
    create_at_once(&sandbox, 200).await;
    assert_eq!(webhook.reviews("patched"), 200.0);
}

#[tokio::test]
async fn networks_that_no_watch_tells_of_are_looked_up() {
    let sandbox = Arc::new(Sandbox::new("looked-up"));
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    let kubeconfig = kubeconfig.to_str().unwrap();
    let tls = ServingCertificate::issue();
    let folder = tls.write(&sandbox.folder().join("tls"));
    // It watches another namespace, so that every pod comes ahead of the watch.
    let elsewhere = ["--namespace", "looked-up-system"];
    let arguments = ["--kubeconfig", kubeconfig, "--tls-dir", folder.to_str().unwrap()];
    let webhook = Webhook::spawn(&sandbox, "webhook", &[arguments.as_slice(), &elsewhere].concat());
    webhook.wait_until_ready(Duration::from_secs(60));
    webhook.register(&sandbox, &tls.ca);
    create_at_once(&sandbox, 50).await;
    assert_eq!(webhook.metric("sriov_webhook_networks_known"), 0.0);
    assert_eq!(webhook.metric("sriov_webhook_live_look_ups_total{result=\"found\"}"), 50.0);
    assert_eq!(webhook.reviews("patched"), 50.0);
}
