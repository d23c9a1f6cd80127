//! Pods as `kubectl apply` stores them.

use tests::cluster::{Pod, Sandbox, StoredPod, Webhook};

#[tokio::test]
async fn a_pod_gets_the_resources_that_its_networks_need() {
    let sandbox = Sandbox::new("apply");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let _webhook = Webhook::start(&sandbox).await;
    let pod = Pod::virt_launcher("one").networks("sriov-net");
    sandbox.apply_pod(&pod).expect_success();
    assert_eq!(StoredPod::read(&sandbox, "one").await.devices("compute"), "intel.com/sriov_vfio=1");
}
