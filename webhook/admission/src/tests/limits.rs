//! However much somebody writes into a pod or a VMI, the answer stays one that a person can read.

use super::*;
use crate::NotWatched;
use rstest::rstest;

/// Far more than any sentence here needs.
const READABLE: usize = 8 * 1024;

/// `count` names, each another.
fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("net-{number}"))
}

fn refusal(pod: &Value, options: &Options) -> String {
    let Outcome::Denied(denial) = decide_pod(pod, options).verdict.outcome else { panic!("it passed") };
    assert!(denial.message.len() < READABLE, "{} bytes", denial.message.len());
    denial.message
}

#[rstest]
#[case::comma_form(vec!["z"; 100_000].join(","), "k8s.v1.cni.cncf.io/networks: it names 100000 networks, and 256 is the most: ")]
#[case::json_form(format!("[{}]", vec![r#"{"name":"z"}"#; 100_000].join(",")), "it names 100000 networks, and 256 is the most: ")]
#[case::elements_of_another_kind(format!("[{}]", vec!["0"; 100_000].join(",")), "it names 100000 networks, ")]
#[case::one_too_many(names(257).collect::<Vec<_>>().join(","), "it names 257 networks, ")]
#[case::as_many_as_may_be(names(256).collect::<Vec<_>>().join(","), "ns/net-7 does not exist: create it, or correct the name; and 248 more")]
#[case::long_element(format!(r#"["{}"]"#, "a".repeat(1 << 20)), "element 1: '\"aaa")]
#[case::long_text(format!(r#""{}""#, "a".repeat(1 << 20)), "it is not a JSON list (invalid type: string")]
fn refusals_of_an_annotation(#[case] annotation: String, #[case] part: &str) {
    let message = refusal(&pod(&annotation), &Options::default());
    assert!(message.contains(part), "{message}");
}

#[test]
fn isolated_networks_are_named_up_to_a_few() {
    let options = Options { namespace_isolation: true, ..Options::default() };
    let names: Vec<String> = names(100).map(|name| format!("far/{name}")).collect();
    let message = refusal(&pod(&names.join(",")), &options);
    assert!(message.ends_with("; and 92 more"), "{message}");
}

#[test]
fn a_network_that_is_named_twice_is_complained_of_once() {
    let message = refusal(&pod("missing,missing,gone,missing"), &Options::default());
    assert_eq!(
        (message.matches("ns/missing").count(), message.matches("ns/gone").count()),
        (1, 1),
        "{message}"
    );
}

#[test]
fn warnings_are_few_as_well() {
    let options = Options { on_unresolved: Unresolved::Warn, ..Options::default() };
    let pod = pod(&names(100).collect::<Vec<_>>().join(","));
    let warnings = decide_pod(&pod, &options).verdict.warnings;
    assert_eq!((warnings.len(), warnings.last().unwrap().as_str()), (9, "and 92 more"));
}

#[rstest]
#[case::containers("containers")]
#[case::init_containers("initContainers")]
fn more_containers_than_any_pod_has(#[case] field: &str) {
    let mut pod = pod("vf");
    pod["spec"]["initContainers"] = json!([]);
    let more = vec![json!({"name": "x"}); 1000];
    pod["spec"][field].as_array_mut().unwrap().extend(more);
    let message = refusal(&pod, &Options::default());
    let start = format!("spec.{field} has ");
    assert!(message.starts_with(&start) && message.contains(", and 256 is the most"), "{message}");
}

#[test]
fn a_pod_that_cannot_be_read_is_not_repeated_whole() {
    let mut pod = pod("vf");
    pod["spec"]["containers"] = json!("a".repeat(1 << 20));
    let response = respond(review(&pod).to_string().as_bytes(), &Options::default()).unwrap();
    assert!(response.to_string().len() < READABLE, "{} bytes", response.to_string().len());
}

fn warnings_about(spec: &Value) -> Vec<String> {
    let vmi = serde_json::from_value(json!({"spec": spec})).unwrap();
    decide_vmi(&vmi, "ns", &networks(), &NotWatched, &Options::default()).warnings
}

#[rstest]
#[case::networks(json!({"networks": names(2000).map(|name| json!({"name": name, "multus": {"networkName": name}})).collect::<Vec<_>>()}), 1, "spec.networks has 2000 elements, and 256 is the most: ")]
#[case::interfaces(json!({"domain": {"devices": {"interfaces": names(2000).map(|name| json!({"name": name, "sriov": {}})).collect::<Vec<_>>()}}}), 1, "spec.domain.devices.interfaces has 2000 elements, ")]
#[case::unknown_networks(json!({"networks": names(100).map(|name| json!({"name": name, "multus": {"networkName": name}})).collect::<Vec<_>>()}), 9, "and 92 more")]
#[case::lonely_interfaces(json!({"domain": {"devices": {"interfaces": names(100).map(|name| json!({"name": name, "sriov": {}})).collect::<Vec<_>>()}}}), 9, "and 92 more")]
fn warnings_about_a_vmi(#[case] spec: Value, #[case] count: usize, #[case] last: &str) {
    let warnings = warnings_about(&spec);
    assert_eq!(warnings.len(), count);
    assert!(warnings.last().unwrap().starts_with(last), "{warnings:?}");
}

#[test]
fn interfaces_that_are_alike_are_named_up_to_a_few() {
    let interfaces: Vec<Value> = names(100).map(|name| json!({"name": name, "sriov": {}})).collect();
    let networks: Vec<Value> =
        names(100).map(|name| json!({"name": name, "multus": {"networkName": "vf"}})).collect();
    let warnings =
        warnings_about(&json!({"domain": {"devices": {"interfaces": interfaces}}, "networks": networks}));
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("net-7 and 92 more are VFs of"), "{warnings:?}");
}
