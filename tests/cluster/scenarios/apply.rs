//! Pods as the API server stores them.

use serde_json::{Value, json};
use std::fs;
use tests::api_server::{Appender, Output, Pod, Sandbox, StoredPod, Webhook};

/// A file of the repository.
fn file(path: &str) -> String {
    fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[tokio::test]
async fn the_example_pod_is_stored_with_requests_and_limits() {
    let sandbox = Sandbox::new("example");
    // The example's namespaces, as this sandbox has them.
    let here = |text: String| {
        let text = text.replace("namespace: default", "namespace: example");
        let text = text.replace(r#""namespace":"default""#, r#""namespace":"example""#);
        text.replace("net-admin", "example-system")
    };
    sandbox.kubectl().apply(&here(file("examples/nads.yaml"))).expect_success();
    let _webhook = Webhook::start(&sandbox).await;
    let pod = here(file("examples/pod.yaml"));
    // virt-controller creates it with a generateName; kubectl apply wants a name.
    let named = pod.replace("generateName: virt-launcher-database-", "name: virt-launcher-database-0");
    assert_ne!(named, pod);
    sandbox.kubectl().apply(&named).expect_success();
    let stored = StoredPod::read(&sandbox, "virt-launcher-database-0").await;
    let compute = &stored.value()["spec"]["containers"][0]["resources"];
    let expected = json!({
        "requests": {
            "cpu": "100m",
            "memory": "1500Mi",
            "intel.com/sriov_vfio": "2",
            "devices.kubevirt.io/kvm": "1",
            "devices.kubevirt.io/tun": "1",
            "devices.kubevirt.io/vhost-net": "1",
        },
        "limits": {
            "intel.com/sriov_vfio": "2",
            "devices.kubevirt.io/kvm": "1",
            "devices.kubevirt.io/tun": "1",
            "devices.kubevirt.io/vhost-net": "1",
        },
    });
    assert_eq!(*compute, expected);

    // As virt-controller creates it.
    let created = sandbox.kubectl().create(&pod).expect_success();
    let name = created.trim().strip_prefix("pod/").and_then(|name| name.strip_suffix(" created")).unwrap();
    let devices = StoredPod::read(&sandbox, name).await.devices("compute");
    assert!(devices.ends_with("intel.com/sriov_vfio=2"), "{devices}");
}

#[tokio::test]
async fn a_container_that_another_webhook_adds_later_changes_nothing() {
    let sandbox = Sandbox::new("reinvoked");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let webhook = Webhook::start(&sandbox).await;
    let appender = Appender::start();
    appender.register(&sandbox);
    let before = (webhook.reviews("patched"), webhook.reviews("unchanged"), appender.appended());

    sandbox.apply_pod(&Pod::virt_launcher("one").networks("sriov-net, sriov-net")).expect_success();
    let pod = StoredPod::read(&sandbox, "one").await;
    assert_eq!(pod.devices("compute"), "intel.com/sriov_vfio=2");
    assert_eq!(pod.devices(Appender::CONTAINER), "");
    // The API server did ask us again, after the other one.
    let after = (webhook.reviews("patched"), webhook.reviews("unchanged"), appender.appended());
    assert_eq!(after, (before.0 + 1.0, before.1 + 1.0, before.2 + 1));
}

#[tokio::test]
async fn a_pod_that_kubevirt_filled_in_itself_is_stored_as_it_is() {
    let sandbox = Sandbox::new("injected");
    let fixture = file("webhook/tests/fixtures/virt-launcher-pod.legacy-injected.json");
    let mut pod: Value =
        serde_json::from_str(&fixture.replace(r#""namespace\":\"default\""#, r#""namespace\":\"injected\""#))
            .unwrap();
    let metadata = pod["metadata"].as_object_mut().unwrap();
    metadata.remove("ownerReferences");
    metadata.insert("namespace".to_owned(), json!("injected"));
    let nads = file("webhook/tests/fixtures/nads.yaml");
    let nads = nads.replace("namespace: default", "namespace: injected");
    let nads = nads.replace("namespace: net-admin", "namespace: injected-system");
    sandbox.kubectl().apply(&nads).expect_success();
    pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = json!(
        pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"]
            .as_str()
            .unwrap()
            .replace("\"default\"", "\"injected\"")
            .replace("net-admin", "injected-system")
    );
    let spec = |output: Output| {
        let stored: Value = serde_json::from_str(&output.expect_success()).unwrap();
        stored["spec"].clone()
    };
    let without = spec(sandbox.kubectl().dry_run(&pod.to_string()));
    let webhook = Webhook::start(&sandbox).await;
    let before = webhook.reviews("unchanged");
    let with = spec(sandbox.kubectl().dry_run(&pod.to_string()));
    assert_eq!(with, without);
    assert_eq!(webhook.reviews("unchanged"), before + 1.0);
    assert!(with.to_string().contains("sriov"), "the fixture requests VFs: {with}");
}

#[tokio::test]
async fn what_the_api_server_takes_only_in_equal_numbers_becomes_equal() {
    let sandbox = Sandbox::new("equal");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let pod = |name: &str, resources: Value| {
        Pod::virt_launcher(name).networks("sriov-net").resources(resources).in_namespace("equal")
    };
    let devices = |count: &str| json!({"intel.com/sriov_vfio": count});
    let pods = [
        (pod("requests-alone", json!({"requests": devices("1")})), "1"),
        (pod("two-numbers", json!({"requests": devices("1"), "limits": devices("2")})), "2"),
    ];
    for (pod, _) in &pods {
        let refused = sandbox.kubectl().dry_run(&pod.to_string()).expect_failure();
        assert!(refused.contains("non overcommitable") || refused.contains("must be equal to"), "{refused}");
    }
    let _webhook = Webhook::start(&sandbox).await;
    for (pod, count) in &pods {
        sandbox.apply_pod(pod).expect_success();
        let name = pod.value()["metadata"]["name"].as_str().unwrap();
        let stored = StoredPod::read(&sandbox, name).await.devices("compute");
        assert_eq!(stored, format!("intel.com/sriov_vfio={count}"), "{name}");
    }
}
