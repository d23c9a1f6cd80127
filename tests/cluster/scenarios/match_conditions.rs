//! Which pods reach the webhook at all.

use tests::api_server::{Pod, Sandbox, StoredPod, Webhook};

#[tokio::test]
async fn only_pods_that_name_a_network_are_asked_about() {
    let sandbox = Sandbox::new("matched");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let webhook = Webhook::start(&sandbox).await;
    let all = || webhook.metric("sriov_webhook_reviews_total");
    let launcher = Pod::virt_launcher;
    let default = || format!("{}/sriov-net", sandbox.namespace());
    let cases = [
        (launcher("no-annotation"), 0.0, ""),
        (launcher("another-annotation").annotation("k8s.v1.cni.cncf.io/network-status", "[]"), 0.0, ""),
        (Pod::plain("no-virt-launcher").networks("sriov-net"), 0.0, ""),
        (launcher("networks").networks("sriov-net"), 1.0, "intel.com/sriov_vfio=1"),
        (launcher("default-network").default_network(&default()), 1.0, "intel.com/sriov_vfio=1"),
        (launcher("both").default_network(&default()).networks("sriov-net"), 1.0, "intel.com/sriov_vfio=2"),
    ];
    for (pod, reviews, devices) in cases {
        let name = pod.value()["metadata"]["name"].as_str().unwrap();
        let before = all();
        sandbox.apply_pod(&pod).expect_success();
        assert_eq!(all() - before, reviews, "{name}");
        assert_eq!(StoredPod::read(&sandbox, name).await.devices("compute"), devices, "{name}");
    }
    assert_eq!(webhook.reviews("out_of_scope"), 0.0);
}

#[tokio::test]
async fn changing_and_deleting_a_pod_asks_nobody() {
    let sandbox = Sandbox::new("updated");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let webhook = Webhook::start(&sandbox).await;
    sandbox.apply_pod(&Pod::virt_launcher("one").networks("sriov-net")).expect_success();
    let before = webhook.metric("sriov_webhook_reviews_total");
    let namespace = sandbox.namespace();
    let kubectl = sandbox.kubectl();
    kubectl.run(["label", "pod", "one", "--namespace", namespace, "a=b"]).expect_success();
    kubectl.run(["delete", "pod", "one", "--namespace", namespace, "--now"]).expect_success();
    assert_eq!(webhook.metric("sriov_webhook_reviews_total"), before);
}
