//! The alerts of the chart, judged by Prometheus.

use std::process::Command;
use tests::cluster::release::promtool;

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
