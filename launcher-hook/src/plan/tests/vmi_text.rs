use super::*;

#[test]
fn a_pod_network_cannot_have_a_vf() {
    let vmi = Vmi::parse(&vmi(&[("a", "pod", VF)]), "sriov").unwrap();
    assert_eq!(vmi.interfaces, []);
    assert_eq!(vmi.warnings.len(), 1);
}

#[rstest]
#[case::no_json("x")]
#[case::no_vmi("{}")]
#[case::list("[]")]
#[case::wrong_kind(r#"{"metadata":{},"spec":{"domain":{"devices":{"interfaces":[{"name":1}]}}}}"#)]
fn no_vmi(#[case] text: &str) {
    assert!(matches!(Vmi::parse(text, "sriov"), Err(PlanError::Vmi { .. })));
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
