//! The final look: a pod that other webhooks, or nobody, left without what its networks need is not stored.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::api_server::{Appender, Output, Pod, Release};

/// How long a change of a registration may take to be acted upon; it is a fraction of a second.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

fn pod(release: &Release, networks: &str) -> String {
    Pod::virt_launcher("looked-at").networks(networks).in_namespace(release.namespace()).to_string()
}

/// Creates the pod, as a dry run, until the answer is as wanted.
fn until(release: &Release, pod: &str, wanted: impl Fn(&Output) -> bool) -> Output {
    let deadline = Instant::now() + SEEN_WITHIN;
    loop {
        let output = release.kubectl().dry_run(pod);
        if wanted(&output) {
            return output;
        }
        assert!(Instant::now() < deadline, "{output:?}");
    }
}

#[test]
fn a_pod_that_lacks_its_devices_is_not_stored() {
    let release = Release::new("final");
    release.apply_network("storage", "intel.com/sriov_vfio");
    let ignore = ["--set", "webhook.failurePolicy=Ignore", "--set", "webhook.finalLook.enabled=true"];
    release.deploy("install", &ignore).expect_success();
    let replica = release.replica("replica");
    release.balancer().add(replica.address());
    release.wait_until_asked();
    let looked = |outcome: &str| {
        replica.metric(&format!("sriov_webhook_reviews_total{{kind=\"final\",outcome=\"{outcome}\""))
    };

    // The replicas keep the CA bundle of both registrations.
    let ours = pod(&release, "storage");
    let created = until(&release, &ours, Output::success).stdout;
    assert!(created.contains("\"intel.com/sriov_vfio\": \"1\""), "{created}");
    assert!(looked("unchanged") >= 1.0, "{}", replica.log());

    // Pods of others are not even posted.
    let all = || replica.metric("sriov_webhook_reviews_total{kind=\"final\"");
    let before = all();
    let plain = Pod::plain("other").networks("storage").in_namespace(release.namespace()).to_string();
    release.kubectl().dry_run(&plain).expect_success();
    assert!((all() - before).abs() < f64::EPSILON);

    // A webhook after ours undoes what ours did.
    let stripper = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "zz-strip-final"},
        "webhooks": [{
            "name": "strip.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": Appender::start().stripper(), "reinvocationPolicy": "IfNeeded",
            "namespaceSelector": {"matchLabels": {"kubevirt-sriov.test/sandbox": release.namespace()}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    release.kubectl().apply(&stripper.to_string()).expect_success();
    let denied = "admission webhook \"final.kubevirt-sriov.io\" denied the request: the pod would be stored without what \
                  its networks need: it requests 0 of 1 intel.com/sriov_vfio. ";
    let refused = until(&release, &ours, |output| !output.success()).expect_failure();
    assert!(refused.contains(denied), "{refused}");
    // One that needs nothing of ours has nothing to lose.
    release.apply_network("bridge", "");
    until(&release, &pod(&release, "bridge"), Output::success);
    release.kubectl().delete(&stripper.to_string()).expect_success();
    until(&release, &ours, Output::success);

    // Nobody answers the first call, and its failure is ignored.
    let unreachable =
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/path", "value": "/nowhere"}]);
    let name = release.full_name();
    let patch =
        ["patch", "mutatingwebhookconfiguration", &name, "--type=json", "--patch", &unreachable.to_string()];
    release.kubectl().run(patch).expect_success();
    let refused = until(&release, &ours, |output| !output.success()).expect_failure();
    assert!(refused.contains(denied), "{refused}");

    // Nobody answers at all.
    release.balancer().remove(replica.address());
    // An API server keeps its connections.
    drop(replica);
    let refused =
        until(&release, &ours, |output| output.stderr.contains("failed calling webhook")).expect_failure();
    assert!(refused.contains("failed calling webhook \"final.kubevirt-sriov.io\""), "{refused}");
}
