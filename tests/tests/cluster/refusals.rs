//! What a user reads when a pod is refused.

use tests::cluster::{Pod, Sandbox, Webhook};

#[tokio::test]
async fn refusals_as_kubectl_shows_them() {
    let sandbox = Sandbox::new("refused");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    sandbox.apply_network("broken", "sriov_vfio");
    for (name, label) in [("rack-1", "rack=1"), ("rack-2", "rack=2"), ("no-label", "rack 1")] {
        let mut network = sandbox.network(name, "");
        network["metadata"]["annotations"]["k8s.v1.cni.cncf.io/nodeSelector"] = label.into();
        sandbox.kubectl().apply(&network.to_string()).expect_success();
    }
    let _webhook = Webhook::start(&sandbox).await;
    let launcher = |name: &str, networks: &str| Pod::virt_launcher(name).networks(networks);
    let cases = [
        launcher("missing", "storage"),
        launcher("missing-two", "storage,sriov-net,default/uplink"),
        launcher("broken", "broken"),
        launcher("no-label", "no-label"),
        launcher("two-racks", "rack-1,rack-2"),
        launcher("no-json", r#"[{"name":"sriov-net"]"#),
        launcher("no-name", r#"[{"namespace":"refused"}]"#),
        launcher("upper-case", "SRIOV-net"),
        launcher("semicolon", "sriov-net; sriov-net"),
        launcher("mac", r#"[{"name":"sriov-net","mac":"02:00:00:00:00"}]"#),
        launcher("number", r#"[{"name":5}]"#),
        launcher("half", "sriov-net").resources(serde_json::json!({"requests": {"intel.com/sriov_vfio": "500m"}, "limits": {"intel.com/sriov_vfio": "500m"}})),
        Pod::virt_launcher("default").default_network("storage"),
    ];
    for pod in cases {
        let refused = sandbox.apply_pod(&pod);
        eprintln!("== {}\n{}{}", pod.value()["metadata"]["name"], refused.stdout, refused.stderr);
    }
}
