//! The alerts of the chart, judged by Prometheus.

use std::process::Command;
use tests::api_server::release::promtool;
use tests::api_server::{Pod, Release};

/// Runs promtool, which has to be content.
pub(crate) fn judge(arguments: &[&str]) -> String {
    let cluster = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");
    let output = Command::new(promtool()).args(arguments).current_dir(cluster).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn prometheus_takes_every_rule() {
    let said = judge(&["check", "rules", "../../charts/kubevirt-sriov/alerts.yaml"]);
    assert!(said.contains("rules found"), "{said}");
}

/// `tests/cluster/alerts.test.yaml` has the series, and names each alert.
#[test]
fn alerts_fire_where_they_should_and_nowhere_else() {
    judge(&["test", "rules", "alerts.test.yaml"]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let alerts: serde_json::Value = serde_saphyr::from_str(
        &std::fs::read_to_string(format!("{folder}/charts/kubevirt-sriov/alerts.yaml")).unwrap(),
    )
    .unwrap();
    let tested = std::fs::read_to_string(format!("{folder}/tests/cluster/alerts.test.yaml")).unwrap();
    for rule in alerts["groups"][0]["rules"].as_array().unwrap() {
        let name = format!("alertname=\"{}\"", rule["alert"].as_str().unwrap());
        assert!(tested.contains(&name), "{name} is in no test");
    }
}

#[test]
fn the_service_level_burns_as_fast_as_it_says() {
    judge(&["check", "rules", "../../examples/slo.yaml"]);
    judge(&["test", "rules", "slo.test.yaml"]);
}

/// What the alert and the service level are made of is the API server's: a real one counts like this.
#[test]
fn an_api_server_counts_the_pods_that_it_could_not_ask_about() {
    let release = Release::new("unreached");
    release.deploy("install", &[]).expect_success();
    let pod = Pod::virt_launcher("one").networks("storage").in_namespace(release.namespace()).to_string();
    // No replica is there.
    release.kubectl().dry_run(&pod).expect_failure();
    release.deploy("upgrade", &["--set", "webhook.failurePolicy=Ignore"]).expect_success();
    release.kubectl().dry_run(&pod).expect_success();

    let metrics = release.kubectl().run(["get", "--raw", "/metrics"]).expect_success();
    for (metric, labels) in [
        ("rejection_count", &["error_type=\"calling_webhook_error\""][..]),
        ("fail_open_count", &[]),
        ("request_total", &[]),
    ] {
        let start = format!("apiserver_admission_webhook_{metric}{{");
        let found = metrics.lines().any(|line| {
            line.starts_with(&start)
                && line.contains("name=\"pods.kubevirt-sriov.io\"")
                && labels.iter().all(|label| line.contains(label))
        });
        let same: Vec<&str> = metrics.lines().filter(|line| line.starts_with(&start)).collect();
        assert!(found, "{metric}: {same:#?}");
    }
}
