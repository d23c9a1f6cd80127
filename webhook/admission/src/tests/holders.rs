//! Which container of a pod holds its VFs.

use super::*;
use rstest::rstest;

/// `count` of the resource that most networks here need.
fn vfs(count: u64) -> Value {
    let quantities = json!({"intel.com/sriov_vfio": count.to_string()});
    json!({"limits": quantities, "requests": quantities})
}

/// A pod of three containers: one beside the first of the others, a restartable init container and one that ends,
/// each with so many VFs.
fn spread(networks: &str, main: (&str, u64), beside: u64, restartable: u64, ending: u64) -> Value {
    let mut pod = pod(networks);
    let (name, count) = main;
    pod["spec"]["containers"] =
        json!([{"name": name, "resources": vfs(count)}, {"name": "istio-proxy", "resources": vfs(beside)}]);
    pod["spec"]["initContainers"] = json!([
        {"name": "native-sidecar", "restartPolicy": "Always", "resources": vfs(restartable)},
        {"name": "over-before-the-others-start", "resources": vfs(ending)}
    ]);
    pod
}

#[rstest]
#[case::another_container(
    spread("vf", ("compute", 0), 1, 0, 0),
    r#"container "istio-proxy" requests intel.com/sriov_vfio, and compute does not: the virtual machine needs it in compute; configure the other injector to leave virt-launcher pods alone"#
)]
#[case::restartable_init_container(
    spread("vf", ("compute", 0), 0, 2, 0),
    r#"container "native-sidecar" requests intel.com/sriov_vfio, and compute does not: the virtual machine needs it in compute; configure the other injector to leave virt-launcher pods alone"#
)]
#[case::not_enough_on_compute(
    spread("vf,vf", ("compute", 1), 1, 0, 0),
    r#"container "istio-proxy" requests intel.com/sriov_vfio, and compute only 1 of 2: the virtual machine needs it in compute; configure the other injector to leave virt-launcher pods alone"#
)]
fn a_vf_of_another_container_is_no_use_to_a_virtual_machine(#[case] pod: Value, #[case] message: &str) {
    let decision = decide_pod(&pod, &Options::default());
    let Outcome::Denied(denial) = &decision.verdict.outcome else { panic!("{decision:?}") };
    assert_eq!((denial.reason, denial.message.as_str()), (Reason::WrongContainer, message));
    assert_eq!(decision.needs.len(), 1, "the report shows who holds it");
}

#[rstest]
#[case::over_before_it_starts(spread("vf", ("compute", 0), 0, 0, 1), 1, 0)]
#[case::beside_enough(spread("vf", ("compute", 1), 1, 0, 0), 1, 1)]
#[case::zero(spread("vf", ("compute", 0), 0, 0, 0), 1, 0)]
fn what_else_a_virtual_machines_pod_may_request(
    #[case] pod: Value,
    #[case] on_compute: u64,
    #[case] warnings: usize,
) {
    let decision = decide_pod(&pod, &Options::default());
    let after = patched(&pod, &decision);
    assert_eq!(resources_of(&after, 0)["intel.com/sriov_vfio"], json!(on_compute.to_string()));
    assert_eq!(decision.verdict.warnings.len(), warnings, "{:?}", decision.verdict.warnings);
    let again = decide_pod(&after, &Options::default());
    assert_eq!(
        (again.verdict.outcome, again.verdict.warnings),
        (Outcome::Unchanged, decision.verdict.warnings)
    );
}

#[test]
fn a_second_holder_is_warned_of() {
    let decision = decide_pod(&spread("vf", ("compute", 1), 1, 0, 0), &Options::default());
    insta::assert_snapshot!(decision.verdict.warnings.join("\n"), @r#"container "istio-proxy" requests intel.com/sriov_vfio as well as compute: Multus may attach a VF that compute does not have; configure the other injector to leave virt-launcher pods alone"#);
}

/// Which container of an ordinary pod uses a network is its author's matter.
#[test]
fn in_an_ordinary_pod_all_containers_count() {
    let mut pod = spread("vf,vf,vf", ("web", 0), 1, 1, 1);
    pod["metadata"]["labels"] = json!({});
    let all = Options { scope: Scope::AllPods, ..Options::default() };
    let decision = decide_pod(&pod, &all);
    let need = &decision.needs[0];
    assert_eq!((need.present, need.added, need.total), (2, 1, 1));
    assert_eq!(resources_of(&patched(&pod, &decision), 0), json!({"intel.com/sriov_vfio": "1"}));
}
