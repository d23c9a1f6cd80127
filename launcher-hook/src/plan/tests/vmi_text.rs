use super::*;

#[test]
fn a_pod_network_cannot_have_a_vf() {
    let vmi = Vmi::parse(&vmi(&[("a", "pod", VF)]), "sriov").unwrap();
    assert_eq!(vmi.interfaces, []);
    assert_eq!(vmi.warnings.len(), 1);
}

/// Nobody else would give the machine this NIC.
#[test]
fn a_pod_network_of_the_binding_plugin_is_refused() {
    let plugged = r#","binding":{"name":"sriov"}"#;
    let error = Vmi::parse(&vmi(&[("a", "pod", plugged)]), "sriov").unwrap_err().to_string();
    insta::assert_snapshot!(error, @r#"interface "a" of the VMI has the binding plugin sriov, but its network is the pod's own, which has no VF: connect it to a Multus network, or give it another binding"#);
    assert_eq!(Vmi::parse(&vmi(&[("a", "pod", plugged)]), "other").unwrap().interfaces, []);
}

#[rstest]
#[case::broken("{")]
#[case::no_vmi("{}")]
#[case::list("[]")]
#[case::wrong_kind(r#"{"metadata":{},"spec":{"domain":{"devices":{"interfaces":[{"name":1}]}}}}"#)]
fn no_vmi(#[case] text: &str) {
    assert!(matches!(Vmi::parse(text, "sriov"), Err(PlanError::Vmi { .. })));
}

/// What people hand over in its place, and what to do about it.
#[rstest]
#[case::virtual_machine(
    r#"{"kind":"VirtualMachine","metadata":{},"spec":{"template":{}}}"#,
    "it is a VirtualMachine; "
)]
#[case::list(r#"{"kind":"List","items":[]}"#, "it is a List; ")]
#[case::pod(r#"{"kind":"Pod","metadata":{},"spec":{}}"#, "it is a Pod; ")]
#[case::hostile("{\"kind\":\"a\\nb\"}", "it is a \"a\\nb\"; ")]
#[case::yaml("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\n", "it is not JSON; ")]
#[case::yaml_of_several("---\nkind: List\n", "it is not JSON; ")]
#[case::nothing("", "it is not JSON; ")]
fn another_object(#[case] text: &str, #[case] problem: &str) {
    let error = Vmi::parse(text, "sriov").unwrap_err().to_string();
    assert!(error.starts_with(&format!("the VMI cannot be read: {problem}")), "{error}");
    assert!(error.contains("kubectl get vmi NAME -o json"), "{error}");
}

#[test]
fn a_byte_order_mark_is_not_part_of_a_vmi() {
    let vmi = vmi(&[("a", "x", VF)]);
    assert_eq!(Vmi::parse(&format!("\u{feff}{vmi}"), "sriov"), Vmi::parse(&vmi, "sriov"));
}

#[rstest]
#[case::running("{}", true)]
#[case::completed(r#"{"completed":true}"#, false)]
#[case::failed(r#"{"failed":true}"#, false)]
#[case::ended(r#"{"endTimestamp":"2026-08-22T10:00:00Z"}"#, false)]
#[case::none("null", false)]
fn migrations(#[case] state: &str, #[case] migrating: bool) {
    let vmi = vmi(&[]).replacen('{', &format!(r#"{{"status":{{"migrationState":{state}}},"#), 1);
    assert_eq!(Vmi::parse(&vmi, "sriov").unwrap().migrating, migrating);
}
