use super::*;
use rstest::rstest;

const KUBEVIRT: &str = include_str!("../../../tests/fixtures/virt-launcher-pod.json");
const INJECTED: &str = include_str!("../../../tests/fixtures/virt-launcher-pod.legacy-injected.json");

#[test]
fn a_kubevirt_1_9_pod_gets_its_resources_once() {
    let pod: Value = serde_json::from_str(KUBEVIRT).unwrap();
    let decision = decide_pod(&pod, &Options::default());
    let Outcome::Patched(patch) = &decision.verdict.outcome else { panic!("{decision:?}") };
    assert_eq!(
        serde_json::to_value(patch).unwrap(),
        json!([
            {"op": "add", "path": "/spec/containers/0/resources/limits/intel.com~1sriov_vfio", "value": "2"},
            {"op": "add", "path": "/spec/containers/0/resources/requests/intel.com~1sriov_vfio", "value": "2"}
        ])
    );
    let once = patched(&pod, &decision);
    assert_eq!(decide_pod(&once, &Options::default()).verdict.outcome, Outcome::Unchanged);
}

#[test]
fn a_pod_that_kubevirt_filled_in_itself_is_left_alone() {
    let pod: Value = serde_json::from_str(INJECTED).unwrap();
    let decision = decide_pod(&pod, &Options::default());
    assert_eq!(decision.verdict.outcome, Outcome::Unchanged);
    let need = &decision.needs[0];
    assert_eq!((need.needed, need.present, need.added), (2, 2, 0));
}

#[rstest]
#[case::one("vf", json!({"intel.com/sriov_vfio": "1"}))]
#[case::adds_up("vf,vf", json!({"intel.com/sriov_vfio": "2"}))]
#[case::two_nads_of_one_resource("vf,default/sriov-net-a", json!({"intel.com/sriov_vfio": "2"}))]
#[case::two_resources("cx6,vf", json!({"intel.com/sriov_vfio": "1", "mellanox.com/cx6_vfio": "1"}))]
#[case::no_resource_beside_one("bridge,vf", json!({"intel.com/sriov_vfio": "1"}))]
fn needs(#[case] annotation: &str, #[case] expected: Value) {
    let pod = pod(annotation);
    let decision = decide_pod(&pod, &Options::default());
    assert_eq!(resources_of(&patched(&pod, &decision), 0), expected);
}

#[rstest]
#[case::no_resource("bridge", Outcome::Unchanged)]
#[case::no_networks("", Outcome::Unchanged)]
#[case::empty_list("[]", Outcome::Unchanged)]
fn nothing_needed_no_patch(#[case] annotation: &str, #[case] expected: Outcome) {
    assert_eq!(decide_pod(&pod(annotation), &Options::default()).verdict.outcome, expected);
}

/// What stands in the container before, and the operations that follow for two of one resource.
#[rstest]
#[case::no_resources(json!(null), json!([
    ["add", "/resources", {"limits": {"intel.com/sriov_vfio": "2"}, "requests": {"intel.com/sriov_vfio": "2"}}]]))]
#[case::empty_resources(json!({}), json!([
    ["add", "/resources/limits", {"intel.com/sriov_vfio": "2"}],
    ["add", "/resources/requests", {"intel.com/sriov_vfio": "2"}]]))]
#[case::null_limits(json!({"limits": null, "requests": {"cpu": "1"}}), json!([
    ["add", "/resources/limits", {"intel.com/sriov_vfio": "2"}],
    ["add", "/resources/requests/intel.com~1sriov_vfio", "2"]]))]
#[case::one_of_two(json!({"limits": {"intel.com/sriov_vfio": "1"}, "requests": {"intel.com/sriov_vfio": "1"}}), json!([
    ["replace", "/resources/limits/intel.com~1sriov_vfio", "2"],
    ["replace", "/resources/requests/intel.com~1sriov_vfio", "2"]]))]
#[case::number(json!({"limits": {"intel.com/sriov_vfio": 1}}), json!([
    ["replace", "/resources/limits/intel.com~1sriov_vfio", "2"],
    ["add", "/resources/requests", {"intel.com/sriov_vfio": "2"}]]))]
// The API server fills requests in from limits, never limits from requests.
#[case::requests_alone(json!({"requests": {"intel.com/sriov_vfio": "2"}}), json!([
    ["add", "/resources/limits", {"intel.com/sriov_vfio": "2"}],
    ["replace", "/resources/requests/intel.com~1sriov_vfio", "2"]]))]
#[case::less_requests_than_limits(json!({"limits": {"intel.com/sriov_vfio": "3"}, "requests": {"intel.com/sriov_vfio": "2"}}), json!([
    ["replace", "/resources/limits/intel.com~1sriov_vfio", "3"],
    ["replace", "/resources/requests/intel.com~1sriov_vfio", "3"]]))]
#[case::equal_in_other_words(json!({"limits": {"intel.com/sriov_vfio": "2"}, "requests": {"intel.com/sriov_vfio": "2000m"}}), json!([]))]
#[case::enough(json!({"limits": {"intel.com/sriov_vfio": "2"}}), json!([]))]
#[case::more(json!({"limits": {"intel.com/sriov_vfio": "5"}, "requests": {"intel.com/sriov_vfio": "5"}}), json!([]))]
#[case::milli(json!({"limits": {"intel.com/sriov_vfio": "2000m"}}), json!([]))]
fn patches_name_the_one_place(#[case] before: Value, #[case] expected: Value) {
    let mut pod = pod("vf,vf");
    pod["spec"]["containers"] = json!([{"name": "istio-proxy"}, {"name": "compute"}]);
    if !before.is_null() {
        pod["spec"]["containers"][1]["resources"] = before;
    }
    let decision = decide_pod(&pod, &Options::default());
    let operations = match &decision.verdict.outcome {
        Outcome::Patched(patch) => serde_json::to_value(patch).unwrap(),
        Outcome::Unchanged => json!([]),
        other => panic!("{other:?}"),
    };
    let short = |operation: &Value| {
        let path = operation["path"].as_str().unwrap().strip_prefix("/spec/containers/1").unwrap();
        json!([operation["op"], path, operation["value"]])
    };
    assert_eq!(Value::Array(operations.as_array().unwrap().iter().map(short).collect()), expected);
}

#[rstest]
#[case::slip("vg", "ns/vg does not exist: create it, or correct the name; did you mean ns/vf?")]
#[case::in_default(
    "sriov-net-a",
    "ns/sriov-net-a does not exist: create it, or correct the name; did you mean default/sriov-net-a?"
)]
#[case::nothing_like_it("uplink", "ns/uplink does not exist: create it, or correct the name")]
fn an_unknown_network_is_compared_with_known_ones(#[case] networks: &str, #[case] end: &str) {
    let Outcome::Denied(denial) = decide_pod(&pod(networks), &Options::default()).verdict.outcome else {
        panic!("passed")
    };
    assert!(denial.message.ends_with(end), "{}", denial.message);
}

#[test]
fn few_of_many_unknown_networks_are_compared() {
    let networks: Vec<String> = (0..9).map(|number| format!("vf{number}")).collect();
    let Outcome::Denied(denial) = decide_pod(&pod(&networks.join(",")), &Options::default()).verdict.outcome
    else {
        panic!("passed")
    };
    assert_eq!(denial.message.matches("did you mean ns/vf?").count(), 2, "{}", denial.message);
}

#[test]
fn the_default_network_counts_too_and_is_looked_for_where_multus_looks() {
    let mut pod = pod("vf");
    pod["metadata"]["annotations"][annotation::DEFAULT_NETWORK] = json!("default-vf");
    let decision = decide_pod(&pod, &Options::default());
    assert_eq!(resources_of(&patched(&pod, &decision), 0), json!({"intel.com/sriov_vfio": "2"}));
    let elsewhere = Options { multus_namespace: "multus".to_owned(), ..Options::default() };
    let Outcome::Denied(denial) = decide_pod(&pod, &elsewhere).verdict.outcome else { panic!("passed") };
    assert_eq!(
        denial.message,
        "annotation v1.multus-cni.io/default-network: NetworkAttachmentDefinition multus/default-vf \
         does not exist: create it, or correct the name (without a namespace it is looked for in Multus' own)"
    );
}

#[rstest]
#[case::migration_target(json!({"kubevirt.io": "virt-launcher", "kubevirt.io/migrationJobUID": "1"}), true)]
#[case::provisioning(json!({"kubevirt.io": "virt-launcher"}), true)]
#[case::other_kubevirt_pod(json!({"kubevirt.io": "virt-handler"}), false)]
#[case::any_pod(json!({"app": "web"}), false)]
#[case::no_labels(json!(null), false)]
fn scope(#[case] labels: Value, #[case] launcher: bool) {
    let mut pod = pod("vf");
    pod["metadata"]["labels"] = labels;
    let outcome = |scope| decide_pod(&pod, &Options { scope, ..Options::default() }).verdict.outcome;
    assert_eq!(matches!(outcome(Scope::VirtLauncher), Outcome::Patched(_)), launcher);
    assert_eq!(outcome(Scope::VirtLauncher) == Outcome::OutOfScope, !launcher);
    assert!(matches!(outcome(Scope::AllPods), Outcome::Patched(_)));
}

#[test]
fn without_a_compute_container_all_pods_take_the_first() {
    let mut pod = pod("vf");
    pod["spec"]["containers"] = json!([{"name": "web"}, {"name": "log"}]);
    let all = Options { scope: Scope::AllPods, ..Options::default() };
    let decision = decide_pod(&pod, &all);
    assert_eq!(resources_of(&patched(&pod, &decision), 0), json!({"intel.com/sriov_vfio": "1"}));
}

#[rstest]
#[case::own_namespace("vf", true)]
#[case::global_namespace("default/sriov-net-a", true)]
#[case::other_namespace("net-admin/sriov-net-b", false)]
fn namespace_isolation(#[case] annotation: &str, #[case] passes: bool) {
    let options = Options { namespace_isolation: true, ..Options::default() };
    match decide_pod(&pod(annotation), &options).verdict.outcome {
        Outcome::Patched(_) => assert!(passes),
        Outcome::Denied(denial) => {
            assert!(!passes);
            assert_eq!(denial.reason, Reason::NamespaceIsolated);
            assert_eq!(
                denial.message,
                "annotation k8s.v1.cni.cncf.io/networks: element 1: a pod in namespace ns may not use \
                 NetworkAttachmentDefinition net-admin/sriov-net-b: use one of its own namespace or of default"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::multus_own("default-vf", true)]
#[case::own_namespace("ns/vf", true)]
#[case::global_namespace("default/sriov-net-a", true)]
#[case::other_namespace("net-admin/sriov-net-b", false)]
fn namespace_isolation_of_the_default_network(#[case] default: &str, #[case] passes: bool) {
    let mut pod = pod("");
    pod["metadata"]["annotations"][annotation::DEFAULT_NETWORK] = json!(default);
    let options = Options { namespace_isolation: true, ..Options::default() };
    match decide_pod(&pod, &options).verdict.outcome {
        Outcome::Patched(_) => assert!(passes),
        Outcome::Denied(denial) => {
            assert!(!passes);
            assert_eq!(
                denial.message,
                "annotation v1.multus-cni.io/default-network: a pod in namespace ns may not use \
                 NetworkAttachmentDefinition net-admin/sriov-net-b: use one of its own namespace or of default, kube-system"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::added(json!(null), json!({"rack": "r1"}))]
#[case::beside_others(json!({"zone": "z"}), json!({"zone": "z", "rack": "r1"}))]
#[case::there_already(json!({"rack": "r1"}), json!({"rack": "r1"}))]
fn node_selectors_are_met(#[case] before: Value, #[case] expected: Value) {
    let mut pod = pod("rack1");
    if !before.is_null() {
        pod["spec"]["nodeSelector"] = before;
    }
    let decision = decide_pod(&pod, &Options::default());
    let after = patched(&pod, &decision);
    assert_eq!(after["spec"]["nodeSelector"], expected);
    assert_eq!(decide_pod(&after, &Options::default()).verdict.outcome, Outcome::Unchanged);
}

#[rstest]
#[case::pod_and_nad(json!({"rack": "r9"}), "rack1", r#"but the pod's own nodeSelector wants rack="r9""#)]
#[case::two_nads(json!({}), "rack1,rack2", r#"but NetworkAttachmentDefinition ns/rack1 wants rack="r1""#)]
fn node_selectors_that_no_node_can_meet(#[case] own: Value, #[case] annotation: &str, #[case] part: &str) {
    let mut pod = pod(annotation);
    pod["spec"]["nodeSelector"] = own;
    let Outcome::Denied(denial) = decide_pod(&pod, &Options::default()).verdict.outcome else {
        panic!("passed")
    };
    assert_eq!(denial.reason, Reason::NodeSelectorConflict);
    assert!(denial.message.contains(part), "{}", denial.message);
}

#[test]
fn unresolved_networks_can_be_warnings() {
    let options = Options { on_unresolved: Unresolved::Warn, ..Options::default() };
    let pod = pod("vf,missing,broken");
    let decision = decide_pod(&pod, &options);
    assert_eq!(resources_of(&patched(&pod, &decision), 0), json!({"intel.com/sriov_vfio": "1"}));
    assert_eq!(decision.verdict.warnings.len(), 2);
    assert!(
        decision.verdict.warnings[0].contains("ns/missing does not exist"),
        "{:?}",
        decision.verdict.warnings
    );
    assert_eq!(decision.verdict.unknown.iter().map(NadName::as_str).collect::<Vec<_>>(), ["ns/missing"]);
}

#[rstest]
#[case::update("UPDATE", json!(null))]
#[case::delete("DELETE", json!(null))]
#[case::connect("CONNECT", json!(null))]
#[case::status("CREATE", json!("status"))]
#[case::binding("CREATE", json!("binding"))]
fn other_operations_pass_untouched(#[case] operation: &str, #[case] subresource: Value) {
    let mut review = review(&pod("vf"));
    review["request"]["operation"] = json!(operation);
    review["request"]["subResource"] = subresource;
    if operation == "DELETE" {
        review["request"]["oldObject"] = review["request"]["object"].take();
    }
    let response = respond(review.to_string().as_bytes(), &Options::default()).unwrap();
    assert_eq!(response, json!({"uid": "3f0c7d2e", "allowed": true}));
}

#[test]
fn a_dry_run_is_answered_like_any_other() {
    let mut review = review(&pod("vf"));
    let wet = respond(review.to_string().as_bytes(), &Options::default()).unwrap();
    review["request"]["dryRun"] = json!(true);
    assert_eq!(respond(review.to_string().as_bytes(), &Options::default()).unwrap(), wet);
    assert_eq!(wet["patchType"], "JSONPatch");
}

/// The audit log has what was decided, and from what; of pods that are not ours it has nothing.
#[test]
fn an_answer_is_annotated_for_the_audit_log() {
    let annotated = |pod: &Value, options: &Options| {
        let answer = respond(review(pod).to_string().as_bytes(), options).unwrap();
        let annotations = answer["auditAnnotations"].as_object().cloned().unwrap_or_default();
        let lines = annotations.iter().map(|(key, value)| format!("{key}: {}", value.as_str().unwrap()));
        lines.collect::<Vec<_>>().join("\n")
    };
    let options = Options::default();
    let mut ignoring = pod("vf,bridge,cx6");
    ignoring["metadata"]["annotations"][annotation::IGNORE_NETWORKS] = json!("cx6");
    let mut other = pod("vf");
    other["metadata"]["labels"] = json!({});
    let lines = [
        annotated(&pod("vf,net-admin/sriov-net-b,bridge"), &options),
        annotated(&ignoring, &options),
        annotated(&pod("bridge"), &options),
        annotated(&pod("vf,nowhere"), &options),
        annotated(&pod("{"), &options),
        annotated(&other, &options),
    ];
    insta::assert_snapshot!(lines.join("\n\n"));
}
