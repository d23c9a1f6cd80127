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

/// What `compute` requests afterwards, as `limits` (always equal to `requests`).
fn resources_of(pod: &Value, container: usize) -> Value {
    let resources = &pod["spec"]["containers"][container]["resources"];
    assert_eq!(resources["limits"], resources["requests"]);
    resources["limits"].clone()
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

/// `pod` with this annotation.
fn ignoring(networks: &str, ignored: &str) -> Value {
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

#[test]
fn claims_that_may_be_a_networks_device_are_asked_about() {
    let mut pod = pod("vf,cx6");
    pod["spec"]["containers"][0]["resources"] =
        json!({"claims": [{"name": "gpu", "request": "one"}], "limits": {"mellanox.com/cx6_vfio": "1"}});
    let decision = decide_pod(&pod, &Options::default());
    insta::assert_snapshot!(decision.verdict.warnings.join("\n"), @r#"container "compute" holds resource claims, and nothing says whether the device of NetworkAttachmentDefinition ns/vf comes from one: its resource is requested, too. If it comes from a claim, annotate the NAD with kubevirt-sriov.io/device-source: resource-claim, or the pod or its VMI with kubevirt-sriov.io/ignore-networks: ns/vf; if not, annotate the NAD with kubevirt-sriov.io/device-source: device-plugin"#);
    assert!(matches!(decision.verdict.outcome, Outcome::Patched(_)));
}

#[rstest]
#[case::ignored(ignoring("vf", "*"), "vf", None, false)]
#[case::claimed(pod("claimed"), "claimed", Some("resource-claim"), false)]
#[case::not_claimed(pod("plugged"), "plugged", Some("device-plugin"), true)]
fn an_answer_about_claims_is_taken(
    #[case] mut pod: Value,
    #[case] nad: &str,
    #[case] source: Option<&str>,
    #[case] requested: bool,
) {
    pod["spec"]["containers"][0]["resources"] = json!({"claims": [{"name": "vf"}]});
    let mut networks = networks();
    let annotations = source.into_iter().map(|source| (annotation::DEVICE_SOURCE, source));
    let resource = (annotation::RESOURCE_NAME, "intel.com/sriov_vfio");
    let keys = Options::default().resource_annotations;
    let network = Network::from_annotations(&keys, annotations.chain([resource]));
    networks.0.insert(NadName::new("ns", nad).unwrap(), Arc::new(network));
    let body = review(&pod).to_string();
    let decision = decide(&read(body.as_bytes()).unwrap(), &networks, &Options::default());
    assert_eq!(decision.verdict.warnings, Vec::<String>::new());
    assert_eq!(matches!(decision.verdict.outcome, Outcome::Patched(_)), requested);
}

/// A pod that selects `vf` twice and `broken`, and whose VMI says that some of these are claimed.
fn claiming(claimed: &[(&str, &str)], holds_claims: bool) -> Value {
    let mut pod = pod("vf,vf,broken");
    let entry = |(network, nad): &(&str, &str)| {
        let claim = json!({"kind": "resourceclaims", "claim": "vfs", "request": network});
        ((*network).to_owned(), json!({"nad": format!("ns/{nad}"), "claim": claim}))
    };
    let networks: Value = Value::Object(claimed.iter().map(entry).collect());
    pod["metadata"]["annotations"]["kubevirt-sriov.io/networks"] = networks.to_string().into();
    if holds_claims {
        pod["spec"]["containers"][0]["resources"] = json!({"claims": [{"name": "vfs"}]});
    }
    pod
}

/// Of a claimed device no second one is requested, and the NAD's resource may be any text.
#[rstest]
#[case::one_of_two(&[("a", "vf"), ("c", "broken")], Some("1"))]
#[case::all(&[("a", "vf"), ("b", "vf"), ("c", "broken")], None)]
#[case::more_than_the_pod_selects(&[("a", "vf"), ("b", "vf"), ("d", "vf"), ("c", "broken")], None)]
fn a_claimed_device_is_not_requested(#[case] claimed: &[(&str, &str)], #[case] requested: Option<&str>) {
    let mut pod = claiming(claimed, true);
    let decision = decide_pod(&pod, &Options::default());
    apply(decision.verdict.outcome.patch(), &mut pod);
    let requests = &pod["spec"]["containers"][0]["resources"]["requests"]["intel.com/sriov_vfio"];
    assert_eq!(requests.as_str(), requested);
    assert!(decision.verdict.denial().is_none());
}

/// The author of the pod may write any annotation: without a claim there is no claimed device.
#[test]
fn a_pod_that_holds_no_claim_has_no_claimed_device() {
    let pod = claiming(&[("a", "vf"), ("b", "vf"), ("c", "broken")], false);
    let Outcome::Denied(denial) = decide_pod(&pod, &Options::default()).verdict.outcome else {
        panic!("passed")
    };
    assert_eq!(denial.reason, Reason::NetworkInvalid);
    assert!(!denial.message.contains("resource-claim"), "{}", denial.message);
}

/// The second of two attachments to one NAD is not claimed.
#[test]
fn an_attachment_that_is_not_claimed_is_refused_beside_one_that_is() {
    let mut pod = claiming(&[("c", "broken")], true);
    pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = "broken,broken".into();
    let Outcome::Denied(denial) = decide_pod(&pod, &Options::default()).verdict.outcome else {
        panic!("passed")
    };
    assert!(denial.message.contains("element 2: "), "{}", denial.message);
}

#[test]
fn a_wrong_resource_beside_claims_may_be_the_name_of_a_claimed_device() {
    let Outcome::Denied(denial) = decide_pod(&claiming(&[], true), &Options::default()).verdict.outcome
    else {
        panic!("passed")
    };
    insta::assert_snapshot!(denial.message, @r#"annotation k8s.v1.cni.cncf.io/networks: element 3: NetworkAttachmentDefinition ns/broken: its annotation k8s.v1.cni.cncf.io/resourceName: "../secrets" is not a resource name: its prefix must start and end with a lower-case letter or digit, on each side of every dot; if its device comes from a resource claim of the pod, annotate the NAD with kubevirt-sriov.io/device-source: resource-claim"#);
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
