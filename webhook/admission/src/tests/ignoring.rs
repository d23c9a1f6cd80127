//! Networks that a pod ignores.

use super::*;
use rstest::rstest;

/// `pod` with this annotation.
pub(super) fn ignoring(networks: &str, ignored: &str) -> Value {
    let mut pod = pod(networks);
    pod["metadata"]["annotations"][annotation::IGNORE_NETWORKS] = json!(ignored);
    pod
}

#[rstest]
#[case::one("vf,cx6", "cx6", json!({"intel.com/sriov_vfio": "1"}))]
#[case::by_its_whole_name("vf,default/sriov-net-a", "default/sriov-net-a", json!({"intel.com/sriov_vfio": "1"}))]
#[case::unknown("vf,missing", "missing", json!({"intel.com/sriov_vfio": "1"}))]
#[case::invalid("vf,broken", "broken", json!({"intel.com/sriov_vfio": "1"}))]
#[case::node_label("vf,rack2", "rack2", json!({"intel.com/sriov_vfio": "1"}))]
fn ignored_networks_need_nothing(#[case] networks: &str, #[case] ignored: &str, #[case] expected: Value) {
    let pod = ignoring(networks, ignored);
    let decision = decide_pod(&pod, &Options::default());
    let after = patched(&pod, &decision);
    assert_eq!(resources_of(&after, 0), expected);
    assert_eq!(after["spec"]["nodeSelector"], Value::Null);
    assert_eq!((decision.verdict.unknown.len(), decision.verdict.warnings.len()), (0, 0));
}

#[test]
fn all_networks_can_be_ignored() {
    let decision = decide_pod(&ignoring("vf,missing,rack1", "*"), &Options::default());
    assert_eq!((decision.verdict.outcome, decision.verdict.warnings), (Outcome::Unchanged, Vec::new()));
}

/// The creator of a pod writes the annotation.
#[test]
fn what_is_ignored_is_isolated_all_the_same() {
    let options = Options { namespace_isolation: true, ..Options::default() };
    let pod = ignoring("net-admin/sriov-net-b", "*");
    let Outcome::Denied(denial) = decide_pod(&pod, &options).verdict.outcome else { panic!("passed") };
    assert_eq!(denial.reason, Reason::NamespaceIsolated);
}

#[test]
fn a_name_that_ignores_nothing_is_warned_of() {
    let decision = decide_pod(&ignoring("vf", "vv"), &Options::default());
    insta::assert_snapshot!(decision.verdict.warnings.join("\n"), @"annotation kubevirt-sriov.io/ignore-networks: ns/vv is not one of the networks: correct the name, or remove it");
}
