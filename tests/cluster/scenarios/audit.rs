//! What an API server keeps in its audit log of our answers.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tests::api_server::{Pod, Sandbox, Webhook};

/// How long an event may take to be in the log; it is written with the answer.
const LOGGED_WITHIN: Duration = Duration::from_secs(20);

/// The annotations of our entry in the event about the pod of this name, without the entry's name.
fn annotations(sandbox: &Sandbox, pod: &str) -> Map<String, Value> {
    let prefix = format!("{}/", sandbox.webhook_entry());
    let deadline = Instant::now() + LOGGED_WITHIN;
    loop {
        let events = sandbox.control_plane().audit_log();
        let event = events.iter().find(|event| {
            event["objectRef"]["namespace"] == sandbox.namespace() && event["objectRef"]["name"] == pod
        });
        if let Some(event) = event {
            let annotations = event["annotations"].as_object().cloned().unwrap_or_default().into_iter();
            return annotations
                .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value)))
                .collect();
        }
        assert!(Instant::now() < deadline, "no event about {pod}");
    }
}

#[tokio::test]
async fn the_audit_log_says_what_was_decided_and_why() {
    let sandbox = Sandbox::new("audit");
    sandbox.apply_network("storage", "intel.com/sriov_vfio");
    sandbox.apply_network("bridge", "");
    let _webhook = Webhook::start(&sandbox).await;
    let create = |name: &str, networks: &str| {
        let pod = Pod::virt_launcher(name).networks(networks).in_namespace(sandbox.namespace());
        sandbox.kubectl().dry_run(&pod.to_string());
        let annotations = annotations(&sandbox, name);
        annotations
            .iter()
            .map(|(key, value)| format!("{key}: {}", value.as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        create("patched", "storage,bridge"),
        [
            "decision: patched",
            "networks: audit/storage=intel.com/sriov_vfio, audit/bridge",
            "resources: intel.com/sriov_vfio: 1 needed, 0 requested, 1 added",
        ]
    );
    assert_eq!(create("unchanged", "bridge"), ["decision: unchanged", "networks: audit/bridge"]);
    assert_eq!(
        create("denied", "nowhere"),
        ["decision: denied: network_unknown", "networks: audit/nowhere (unknown)"]
    );
    // The value has its bound, and the API server keeps it.
    let many = create("many", &vec!["storage"; 100].join(","));
    assert!(
        many[1].starts_with("networks: ") && many[1].len() < 1100 && many[1].ends_with(" more"),
        "{many:?}"
    );
}
