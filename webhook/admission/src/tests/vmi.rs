//! What the author of a VMI hears.

use super::*;
use crate::{Nodes, NotWatched};
use contract::ResourceName;
use rstest::rstest;

/// A VMI in `ns` with `sriov` interfaces to these networks: name, NAD, MAC address.
fn vmi(networks: &[(&str, &str, Option<&str>)]) -> Value {
    let interface =
        |(name, _, mac): &(&str, &str, Option<&str>)| json!({"name": name, "sriov": {}, "macAddress": mac});
    let network =
        |(name, nad, _): &(&str, &str, Option<&str>)| json!({"name": name, "multus": {"networkName": nad}});
    json!({
        "metadata": {"name": "vm"},
        "spec": {
            "domain": {"devices": {"interfaces": networks.iter().map(interface).collect::<Vec<_>>()}},
            "networks": networks.iter().map(network).collect::<Vec<_>>()
        }
    })
}

fn decide_value(vmi: &Value, options: &Options) -> Verdict {
    decide_vmi(&serde_json::from_value(vmi.clone()).unwrap(), "ns", &networks(), &NotWatched, options)
}

#[test]
fn the_annotation_says_what_stands_behind_each_network_and_is_written_once() {
    let mut vmi = vmi(&[("a", "vf", None), ("b", "net-admin/sriov-net-b", None), ("c", "bridge", None)]);
    vmi["spec"]["networks"][1]["multus"]["default"] = json!(true);
    let decision = decide_value(&vmi, &Options::default());
    let mut after = vmi.clone();
    apply(decision.outcome.patch(), &mut after);
    assert_eq!(
        after["metadata"]["annotations"]["kubevirt-sriov.io/networks"],
        r#"{"a":{"nad":"ns/vf","resource":"intel.com/sriov_vfio","sriov":true},"b":{"nad":"net-admin/sriov-net-b","resource":"intel.com/sriov_vfio","sriov":true,"default":true},"c":{"nad":"ns/bridge","sriov":true}}"#
    );
    assert_eq!(decide_value(&after, &Options::default()).outcome, Outcome::Unchanged);
}

#[rstest]
#[case::beside_others(json!({"other": "1"}))]
#[case::stale(json!({"kubevirt-sriov.io/networks": "{}"}))]
fn other_annotations_stay(#[case] annotations: Value) {
    let mut vmi = vmi(&[("a", "vf", None)]);
    vmi["metadata"]["annotations"] = annotations.clone();
    let decision = decide_value(&vmi, &Options::default());
    apply(decision.outcome.patch(), &mut vmi);
    assert_eq!(vmi["metadata"]["annotations"]["other"], annotations["other"]);
    assert!(vmi["metadata"]["annotations"]["kubevirt-sriov.io/networks"].as_str().unwrap().contains("ns/vf"));
}

#[rstest]
#[case::all_well(vmi(&[("a", "vf", None), ("b", "cx6", None)]), &[])]
#[case::interchangeable_but_with_mac(vmi(&[("a", "vf", Some("02:00:00:00:00:01")), ("b", "vf", None)]), &[])]
#[case::unknown(vmi(&[("a", "missing", None)]), &[r#"spec.networks "a": NetworkAttachmentDefinition ns/missing does not exist: create it, or correct the name"#])]
#[case::no_name(vmi(&[("a", "../x", None)]), &[r#"spec.networks "a": multus.networkName: namespace "..""#])]
#[case::invalid(vmi(&[("a", "broken", None)]), &[r#"spec.networks "a": NetworkAttachmentDefinition ns/broken: its annotation"#])]
#[case::no_resource(vmi(&[("a", "bridge", None)]), &[r#"spec.networks "a": its interface is sriov, but NetworkAttachmentDefinition ns/bridge names no resource in k8s.v1.cni.cncf.io/resourceName"#])]
#[case::alike(vmi(&[("a", "vf", None), ("b", "vf", None)]), &["interfaces a, b are VFs of NetworkAttachmentDefinition ns/vf with no macAddress of their own"])]
#[case::no_network(
    json!({"spec": {"domain": {"devices": {"interfaces": [{"name": "a", "sriov": {}}]}}}}),
    &[r#"interface "a" is sriov, but network "a" is not in spec.networks"#]
)]
#[case::pod_network(
    json!({"spec": {"domain": {"devices": {"interfaces": [{"name": "a", "sriov": {}}]}}, "networks": [{"name": "a", "pod": {}}]}}),
    &[r#"interface "a" is sriov, but network "a" is not a Multus network"#]
)]
#[case::no_sriov(
    json!({"spec": {"domain": {"devices": {"interfaces": [{"name": "a", "bridge": {}}]}}, "networks": [{"name": "a", "multus": {"networkName": "bridge"}}]}}),
    &[]
)]
#[case::absent(
    json!({"spec": {"domain": {"devices": {"interfaces": [{"name": "a", "sriov": {}, "state": "absent"}]}}}}),
    &[]
)]
fn warnings(#[case] vmi: Value, #[case] starts: &[&str]) {
    let warnings = decide_value(&vmi, &Options::default()).warnings;
    assert_eq!(warnings.len(), starts.len(), "{warnings:?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning}");
    }
}

/// A VMI whose interface `a` uses the binding plugin `plugin`.
fn bound(plugin: &str, nad: &str) -> Value {
    let mut vmi = vmi(&[("a", nad, None)]);
    vmi["spec"]["domain"]["devices"]["interfaces"][0] = json!({"name": "a", "binding": {"name": plugin}});
    vmi
}

fn with_mode(mode: Mode, arguments: &[&str]) -> Options {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    let launcher_hook = LauncherHook { mode, arguments, ..LauncherHook::default() };
    Options { launcher_hook, ..Options::default() }
}

#[test]
fn what_binding_plugins_lack_is_told() {
    let warnings = decide_value(&bound("sriov", "vf"), &Options::default()).warnings;
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    interfaces of the network binding plugin "sriov" (a): the webhook does not inject launcher-hook, which attaches their VFs: annotate the VMI with kubevirt-sriov.io/launcher-hook: compute, unless the plugin's own sidecar is launcher-hook; without it the virtual machine starts without these interfaces
    interfaces of the network binding plugin "sriov" (a): KubeVirt migrates such a virtual machine, and attaches VFs of sriov: {} alone to the target: a live migration loses these; use sriov: {}, or do not migrate it
    "#);
    let warnings = decide_value(&bound("sriov", "bridge"), &with_mode(Mode::Compute, &[])).warnings;
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    spec.networks "a": its interface uses the network binding plugin "sriov", but NetworkAttachmentDefinition ns/bridge names no resource in k8s.v1.cni.cncf.io/resourceName: the virtual machine will get no VF for it
    interfaces of the network binding plugin "sriov" (a): KubeVirt migrates such a virtual machine, and attaches VFs of sriov: {} alone to the target: a live migration loses these; use sriov: {}, or do not migrate it
    "#);
}

const NO_HELPER: &str = "does not inject launcher-hook";
const MIGRATION: &str = "a live migration loses these";

#[rstest]
#[case::off(with_mode(Mode::Off, &[]), None, "sriov", &[NO_HELPER, MIGRATION])]
#[case::compute(with_mode(Mode::Compute, &[]), None, "sriov", &[MIGRATION])]
#[case::sidecar(with_mode(Mode::Sidecar, &[]), None, "sriov", &[MIGRATION])]
#[case::compute_by_annotation(with_mode(Mode::Off, &[]), Some("compute"), "sriov", &[MIGRATION])]
#[case::off_by_annotation(with_mode(Mode::Compute, &[]), Some("off"), "sriov", &[NO_HELPER, MIGRATION])]
#[case::another_plugin(with_mode(Mode::Off, &[]), None, "vdpa", &[])]
#[case::a_plugin_of_another_name(with_mode(Mode::Off, &["--binding=vf"]), None, "vf", &[NO_HELPER, MIGRATION])]
#[case::not_that_name(with_mode(Mode::Off, &["--binding=vf"]), None, "sriov", &[])]
fn binding_plugins_and_the_helper(
    #[case] options: Options,
    #[case] annotation: Option<&str>,
    #[case] plugin: &str,
    #[case] parts: &[&str],
) {
    let mut vmi = bound(plugin, "vf");
    if let Some(mode) = annotation {
        vmi["metadata"]["annotations"] = json!({contract::annotation::LAUNCHER_HOOK: mode});
    }
    let warnings = decide_value(&vmi, &options).warnings;
    assert_eq!(warnings.len(), parts.len(), "{warnings:?}");
    for (warning, part) in warnings.iter().zip(parts) {
        assert!(warning.contains(part), "{warning}");
    }
}

#[test]
fn ignored_networks_are_not_complained_of() {
    let mut vmi = vmi(&[("a", "missing", None), ("b", "vf", None)]);
    vmi["metadata"]["annotations"] = json!({annotation::IGNORE_NETWORKS: "missing,vf,gone"});
    let decision = decide_value(&vmi, &Options::default());
    assert_eq!((decision.warnings.len(), decision.unknown.len()), (1, 0), "{:?}", decision.warnings);
    assert!(decision.warnings[0].contains("ns/gone is not one of the networks"), "{:?}", decision.warnings);
    apply(decision.outcome.patch(), &mut vmi);
    assert_eq!(
        vmi["metadata"]["annotations"]["kubevirt-sriov.io/networks"],
        r#"{"a":{"nad":"ns/missing","sriov":true},"b":{"nad":"ns/vf","sriov":true}}"#
    );
}

#[test]
fn claims_of_a_vmi_are_asked_about() {
    let mut vmi = vmi(&[("a", "vf", None), ("b", "bridge", None)]);
    vmi["spec"]["resourceClaims"] = json!([{"name": "vf"}]);
    vmi["spec"]["domain"]["devices"]["interfaces"][1] = json!({"name": "b", "bridge": {}});
    let warnings = decide_value(&vmi, &Options::default()).warnings;
    insta::assert_snapshot!(warnings.join("\n"), @r#"spec.networks "a": the VMI has resource claims, and nothing says whether the device of NetworkAttachmentDefinition ns/vf comes from one: the virtual machine's pod will request its resource, too. If it comes from a claim, annotate the NAD with kubevirt-sriov.io/device-source: resource-claim, or the VMI with kubevirt-sriov.io/ignore-networks: ns/vf; if not, annotate the NAD with kubevirt-sriov.io/device-source: device-plugin"#);
}

/// As KubeVirt's VEP 427 has it: a network of Multus whose device is claimed.
#[rstest]
#[case::of_a_template(json!({"name": "vfs", "resourceClaimTemplateName": "t"}), r#"{"kind":"resourceclaimtemplates","claim":"vfs","request":"first"}"#)]
#[case::of_a_claim(json!({"name": "vfs", "resourceClaimName": "my.vfs"}), r#"{"kind":"resourceclaims","claim":"my.vfs","request":"first"}"#)]
fn a_claimed_network_is_written_down_and_needs_no_resource(#[case] claim: Value, #[case] written: &str) {
    // The resource of the second NAD is not one that a pod could request.
    for nad in ["vf", "broken"] {
        let mut vmi = vmi(&[("a", nad, None)]);
        vmi["spec"]["resourceClaims"] = json!([claim]);
        vmi["spec"]["networks"][0]["multus"]["resourceClaim"] =
            json!({"claimName": "vfs", "requestName": "first"});
        let decision = decide_value(&vmi, &Options::default());
        assert_eq!(decision.warnings, Vec::<String>::new());
        apply(decision.outcome.patch(), &mut vmi);
        let expected = format!(r#"{{"a":{{"nad":"ns/{nad}","claim":{written},"sriov":true}}}}"#);
        assert_eq!(vmi["metadata"]["annotations"]["kubevirt-sriov.io/networks"], expected);
    }
}

/// KubeVirt's own networks of claims, without Multus.
#[test]
fn a_network_of_a_claim_alone_is_no_network_without_a_vf() {
    let mut vmi = vmi(&[("a", "vf", None)]);
    vmi["spec"]["resourceClaims"] = json!([{"name": "vfs", "resourceClaimTemplateName": "t"}]);
    let claimed = |name: &str, request: &str| json!({"name": "a", "resourceClaim": {"claimName": name, "requestName": request}});
    vmi["spec"]["networks"][0] = claimed("vfs", "first");
    assert_eq!(decide_value(&vmi, &Options::default()), Verdict::new(Outcome::Unchanged));
    vmi["spec"]["networks"][0] = claimed("vf", "first");
    insta::assert_snapshot!(decide_value(&vmi, &Options::default()).warnings.join("\n"), @r#"spec.networks "a": its claim "vf" is not in spec.resourceClaims: add it there, or correct the name"#);
    vmi["spec"]["networks"][0] = claimed("vfs", "First");
    insta::assert_snapshot!(decide_value(&vmi, &Options::default()).warnings.join("\n"), @r#"spec.networks "a": its request "First" has the character 'F'; only lower-case letters, digits and '-' are allowed"#);
}

/// KubeVirt lifts the limit for `sriov: {}` by itself.
#[rstest]
#[case::nothing_is_said(json!({}), json!({"binding": {"name": "sriov"}}), true)]
#[case::lifted(json!({"reservedOverhead": {"memLock": "Required"}}), json!({"binding": {"name": "sriov"}}), false)]
#[case::not_lifted(json!({"reservedOverhead": {"memLock": "NotRequired"}}), json!({"binding": {"name": "sriov"}}), true)]
#[case::another_plugin(json!({}), json!({"binding": {"name": "vdpa"}}), false)]
fn a_claimed_vf_of_a_plugin_needs_memory_to_be_locked(
    #[case] memory: Value,
    #[case] interface: Value,
    #[case] warns: bool,
) {
    let mut vmi = vmi(&[("a", "vf", None)]);
    vmi["spec"]["resourceClaims"] = json!([{"name": "vfs", "resourceClaimTemplateName": "t"}]);
    vmi["spec"]["networks"][0] =
        json!({"name": "a", "resourceClaim": {"claimName": "vfs", "requestName": "one"}});
    vmi["spec"]["domain"]["memory"] = memory;
    let mut interface = interface;
    interface["name"] = json!("a");
    vmi["spec"]["domain"]["devices"]["interfaces"] = json!([interface]);
    let warnings = decide_value(&vmi, &Options::default()).warnings;
    let warning = "interfaces a have a VF of a resource claim: QEMU locks the guest's memory for it";
    assert_eq!(warnings.iter().any(|one| one.starts_with(warning)), warns, "{warnings:?}");
}

/// A VMI whose network `a` is the default one.
fn with_default(nad: &str) -> Value {
    let mut vmi = vmi(&[("a", nad, None)]);
    vmi["spec"]["networks"][0]["multus"]["default"] = json!(true);
    vmi
}

#[rstest]
#[case::where_multus_looks("default-vf", "kube-system/default-vf", 0)]
#[case::given_namespace("net-admin/sriov-net-b", "net-admin/sriov-net-b", 1)]
fn the_default_network_is_looked_for_where_multus_looks(
    #[case] name: &str,
    #[case] nad: &str,
    #[case] warnings: usize,
) {
    let options = Options { namespace_isolation: true, ..Options::default() };
    let decision = decide_value(&with_default(name), &options);
    assert_eq!(decision.warnings.len(), warnings, "{:?}", decision.warnings);
    let written = serde_json::to_string(decision.outcome.patch()).unwrap();
    assert!(written.contains(nad), "{written}");
}

#[test]
fn what_becomes_of_the_pod_depends_on_the_options() {
    let options = Options { on_unresolved: Unresolved::Warn, ..Options::default() };
    let warnings = decide_value(&vmi(&[("a", "missing", None)]), &options).warnings;
    assert!(warnings[0].ends_with("; until then the virtual machine gets no VF for it"), "{warnings:?}");
}

#[rstest]
#[case::no_networks(vmi(&[]))]
#[case::unknown(vmi(&[("a", "missing", None)]))]
fn an_annotation_that_nothing_stands_behind_goes(#[case] mut vmi: Value) {
    vmi["metadata"]["annotations"] =
        json!({"other": "1", "kubevirt-sriov.io/networks": r#"{"a":{"nad":"ns/vf"}}"#});
    let decision = decide_value(&vmi, &Options::default());
    apply(decision.outcome.patch(), &mut vmi);
    assert_eq!(vmi["metadata"]["annotations"], json!({"other": "1"}));
    assert_eq!(decide_value(&vmi, &Options::default()).outcome, Outcome::Unchanged);
}

#[test]
fn isolation_is_told_beforehand() {
    let options = Options { namespace_isolation: true, ..Options::default() };
    let warnings = decide_value(&vmi(&[("a", "net-admin/sriov-net-b", None)]), &options).warnings;
    assert!(
        warnings[0].contains("may not use NetworkAttachmentDefinition net-admin/sriov-net-b"),
        "{warnings:?}"
    );
}

#[test]
fn a_review_of_a_vmi_is_answered_with_patch_and_warnings() {
    let mut review = review(&vmi(&[("a", "vf", None), ("b", "missing", None)]));
    review["request"]["kind"] =
        json!({"group": "kubevirt.io", "version": "v1", "kind": "VirtualMachineInstance"});
    let body = review.to_string();
    let request = read_vmi(body.as_bytes()).unwrap();
    assert_eq!((request.namespace(), request.subject_name()), ("ns", "vm"));
    let decision =
        decide_vmi(request.object.as_ref().unwrap(), "ns", &networks(), &NotWatched, &Options::default());
    let response: Value =
        serde_json::from_slice(&answer::<contract::vmi::Vmi>(&request.uid, &decision)).unwrap();
    let response = &response["response"];
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!(response["warnings"].as_array().unwrap().len(), 1);
}

/// The review of a VMI's update from networks `before` to networks `after`.
fn update(before: &str, after: &str) -> String {
    let mut review = review(&vmi(&[("a", after, None)]));
    review["request"]["kind"] =
        json!({"group": "kubevirt.io", "version": "v1", "kind": "VirtualMachineInstance"});
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["oldObject"] = vmi(&[("a", before, None)]);
    review.to_string()
}

#[rstest]
#[case::plugged_in("bridge", "vf", true)]
#[case::as_it_was("vf", "vf", false)]
fn an_update_is_looked_at_where_networks_change(
    #[case] before: &str,
    #[case] after: &str,
    #[case] looked_at: bool,
) {
    assert_eq!(read_vmi(update(before, after).as_bytes()).unwrap().object.is_some(), looked_at);
}

#[test]
fn fields_that_a_later_kubevirt_leaves_out_are_no_fault() {
    let text = r#"{"spec": {"domain": {"devices": {"interfaces": [{"sriov": {}}]}}, "networks": [{"multus": {}}, {}]}}"#;
    let vmi = serde_json::from_str(text).unwrap();
    let decision = decide_vmi(&vmi, "ns", &networks(), &NotWatched, &Options::default());
    assert!(
        decision.warnings[0].contains("multus.networkName: NAD name \"\" is empty"),
        "{:?}",
        decision.warnings
    );
}

#[test]
fn a_pod_is_no_vmi() {
    let Err(Unreadable::Answerable { denial, .. }) = read_vmi(review(&pod("vf")).to_string().as_bytes())
    else {
        panic!("read as a VMI")
    };
    assert_eq!(denial.reason, Reason::WrongKind);
    assert!(denial.message.contains(r#""v1 Pod", not about a VMI"#), "{}", denial.message);
}

#[test]
fn a_resource_that_no_node_offers_is_told_where_nodes_are_watched() {
    struct Offered(&'static str);
    impl Nodes for Offered {
        fn offer(&self, resource: &ResourceName) -> Option<bool> {
            Some(resource.as_str() == self.0)
        }
    }
    let vmi = serde_json::from_value(vmi(&[("a", "vf", None), ("b", "cx6", None)])).unwrap();
    let nodes = Offered("mellanox.com/cx6_vfio");
    let warnings = decide_vmi(&vmi, "ns", &networks(), &nodes, &Options::default()).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let start = r#"spec.networks "a": no node offers the resource intel.com/sriov_vfio of NetworkAttachmentDefinition ns/vf"#;
    assert!(warnings[0].starts_with(start), "{warnings:?}");
}
