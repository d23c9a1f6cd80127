//! What a user reads when a pod is refused.

use rstest::rstest;
use serde_json::json;
use tests::api_server::{Pod, Sandbox, Webhook};

const NETWORKS: &str = "annotation k8s.v1.cni.cncf.io/networks: ";

/// Each pod with what kubectl shows after its own words.
fn refused() -> Vec<(Pod, String)> {
    let launcher = |networks: &str| Pod::virt_launcher("one").networks(networks);
    let half = json!({"intel.com/sriov_vfio": "500m"});
    let networks = |networks: &str, sentence: &str| (launcher(networks), format!("{NETWORKS}{sentence}"));
    vec![
        networks(
            "storage",
            "element 1: NetworkAttachmentDefinition refused/storage does not exist: create it, or correct the name",
        ),
        networks(
            "storage,sriov-net,default/uplink",
            "element 1: NetworkAttachmentDefinition refused/storage does not exist: create it, or correct the \
             name; annotation k8s.v1.cni.cncf.io/networks: element 3: NetworkAttachmentDefinition default/uplink \
             does not exist: create it, or correct the name",
        ),
        networks(
            "broken",
            "element 1: NetworkAttachmentDefinition refused/broken: its annotation \
             k8s.v1.cni.cncf.io/resourceName: \"sriov_vfio\" is not a resource name of the form prefix/name, such as \
             intel.com/sriov_vfio",
        ),
        networks(
            "no-label",
            "element 1: NetworkAttachmentDefinition refused/no-label: its annotation \
             k8s.v1.cni.cncf.io/nodeSelector: \"rack 1\" is not a label: write key=value or key",
        ),
        networks(
            r#"[{"name":"sriov-net"]"#,
            "it is not a JSON list (expected `,` or `}` at line 1 column 21): write \
             [{\"name\":\"NAME\",\"namespace\":\"NAMESPACE\"}], or a comma list of [NAMESPACE/]NAME[@INTERFACE]",
        ),
        networks(
            r#"[{"namespace":"refused"}]"#,
            "element 1: '{\"namespace\":\"refused\"}' names no NetworkAttachmentDefinition: give it a name, or \
             remove it",
        ),
        networks(
            r#"[{"name":5}]"#,
            "element 1: '{\"name\":5}' is not a network selection (invalid type: integer `5`, expected a string at \
             line 1 column 9)",
        ),
        networks(
            "SRIOV-net",
            "element 1: NAD name \"SRIOV-net\" has the character 'S'; only lower-case letters, digits and '-' are \
             allowed (in a comma list; the JSON form takes names with dots)",
        ),
        networks(
            "sriov-net; sriov-net",
            "element 1: NAD name \"sriov-net; sriov-net\" has the character ';'; only lower-case letters, digits \
             and '-' are allowed (in a comma list; the JSON form takes names with dots)",
        ),
        networks(
            r#"[{"name":"sriov-net","mac":"02:00:00:00:00"}]"#,
            "element 1: mac: \"02:00:00:00:00\" is not a MAC address: write six octets such as 02:00:00:aa:bb:01",
        ),
        (
            launcher("rack-1,rack-2"),
            "NetworkAttachmentDefinition refused/rack-2 wants nodes with rack=2, but NetworkAttachmentDefinition \
             refused/rack-1 wants rack=\"1\": no node has both; remove one of them"
                .to_owned(),
        ),
        (
            launcher("sriov-net").resources(json!({"requests": half, "limits": half})),
            "container \"compute\": resources.requests: intel.com/sriov_vfio: \"500m\" is not a whole number of \
             devices: write one, or remove it so that the webhook adds it"
                .to_owned(),
        ),
        (
            Pod::virt_launcher("one").default_network("storage"),
            "annotation v1.multus-cni.io/default-network: NetworkAttachmentDefinition kube-system/storage does not \
             exist: create it, or correct the name (without a namespace it is looked for in Multus' own)"
                .to_owned(),
        ),
    ]
}

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
    for (pod, sentence) in refused() {
        let shown = sandbox.apply_pod(&pod).expect_failure();
        let expected = format!(
            "The request is invalid: error when creating \"STDIN\": admission webhook \
             \"refused.kubevirt-sriov.io\" denied the request: {sentence}\n"
        );
        assert_eq!(shown, expected);
    }
}

#[rstest]
#[case::dry_run("dry-run", &["--dry-run=server"])]
#[case::server_side("server-side", &["--server-side"])]
#[tokio::test]
async fn other_ways_to_apply_are_refused_alike(#[case] name: &str, #[case] arguments: &[&str]) {
    let sandbox = Sandbox::new(name);
    let _webhook = Webhook::start(&sandbox).await;
    let pod = Pod::virt_launcher("one").networks("storage").in_namespace(name);
    let path = sandbox.folder().join("pod.json");
    std::fs::write(&path, pod.to_string()).unwrap();
    let apply = ["apply", "-f", path.to_str().unwrap()];
    let shown = sandbox.kubectl().run([apply.as_slice(), arguments].concat()).expect_failure();
    let sentence =
        format!("NetworkAttachmentDefinition {name}/storage does not exist: create it, or correct the name");
    assert!(shown.contains(&sentence), "{shown}");
}
