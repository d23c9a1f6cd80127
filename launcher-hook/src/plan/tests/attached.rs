//! Multus' network-status as proof: who is listed, who is not, and who cannot be told apart.

use super::*;
use proptest::prelude::*;

/// Interface names of KubeVirt: `pod` and the start of sha256 of the network's name.
const A: &str = "podca978112ca1";
const B: &str = "pod3e23e816003";
const C: &str = "pod2e7d2c03a95";

/// network-status with the cluster's own network and `(name, interface)`.
fn status(entries: &[(&str, &str)]) -> String {
    let entries =
        entries.iter().map(|(name, interface)| format!(r#",{{"name":"{name}","interface":"{interface}"}}"#));
    format!(r#"[{{"name":"podnet","interface":"eth0","default":true}}{}]"#, entries.collect::<String>())
}

/// Two networks of one NAD and one of another, with a device for each.
const THREE: Case<'_> = Case {
    vmi: &[("a", "x", VF), ("b", "x", VF), ("c", "y", VF)],
    variables: &[TWO_OF_X, ONE_OF_Y, RESOURCES],
    ..NOTHING
};
const ALL: &str = "a=0000:01:10.0 b=0000:01:10.2 c=0000:02:10.0";

#[rstest]
#[case::by_kubevirts_interface_names(&[("ns/x", A), ("ns/x", B), ("ns/y", C)], None)]
#[case::in_another_order(&[("ns/y", C), ("ns/x", B), ("ns/x", A)], None)]
#[case::by_numbers(&[("ns/x", "net1"), ("ns/x", "net2"), ("ns/y", "net3")], None)]
#[case::by_the_names_in_the_selections(
    &[("ns/x", "one"), ("ns/x", "two"), ("ns/y", "three")],
    Some("x@one,x@two,y@three")
)]
#[case::by_the_numbers_of_selections(&[("ns/x", "net1"), ("ns/x", "net2"), ("ns/y", "net3")], Some("x,x,y"))]
#[case::by_nad_without_an_interface(&[("ns/x", ""), ("ns/x", ""), ("ns/y", "")], None)]
#[case::by_nad_whatever_the_selections_ask_for(&[("ns/x", ""), ("ns/x", ""), ("ns/y", "")], Some("x,x,y"))]
#[case::names_of_an_old_multus(&[("mynet", A), ("mynet", B), ("other", C)], None)]
#[case::beside_others(&[("ns/z", "net9"), ("ns/x", A), ("ns/x", B), ("ns/y", C)], None)]
#[case::by_numbers_beside_others(&[("ns/z", "net1"), ("ns/x", "net2"), ("ns/x", "net3"), ("ns/y", "net4")], None)]
fn listed(#[case] entries: &[(&str, &str)], #[case] annotation: Option<&str>) {
    let status = status(entries);
    assert_eq!(Case { network_status: Some(&status), annotation, ..THREE }.planned(), ALL);
}

/// Devices for all of them are in the variables, whatever Multus did.
#[rstest]
#[case::nothing(&[], None, "Multus attached none of a, b, c: network-status names eth0 only; the VFs are not ")]
#[case::one_of_three(
    &[("ns/x", A)],
    None,
    "Multus attached neither b nor c: network-status names eth0, podca978112ca1 (ns/x) only; "
)]
#[case::one_is_missing(
    &[("ns/x", A), ("ns/x", B)],
    None,
    "Multus did not attach c: network-status names eth0, podca978112ca1 (ns/x), pod3e23e816003 (ns/x) only; its VF is"
)]
#[case::one_entry_for_two_networks(&[("ns/x", ""), ("ns/y", C)], None, "Multus attached neither a nor b: ")]
#[case::a_second_interface_of_one_attachment(
    &[("ns/x", A), ("ns/x", "extra"), ("ns/y", C)],
    None,
    "Multus did not attach b: "
)]
#[case::another_nad_on_the_interface(&[("ns/x", A), ("ns/x", B), ("ns/z", C)], None, "Multus did not attach c: ")]
#[case::another_name_than_the_selection_asks_for(
    &[("ns/x", "one"), ("ns/x", "two"), ("ns/y", "four")],
    Some("x@one,x@two,y@three"),
    "Multus did not attach c: "
)]
#[case::the_interface_of_a_network_that_is_gone(
    &[("ns/x", A), ("ns/x", B), ("ns/y", "pod00000000000")],
    None,
    "Multus did not attach c: "
)]
#[case::only_as_the_default_network(&[("ns/x", A), ("ns/x", B)], None, "Multus did not attach c: ")]
fn not_listed(#[case] entries: &[(&str, &str)], #[case] annotation: Option<&str>, #[case] start: &str) {
    let status = status(entries);
    let case = Case { network_status: Some(&status), annotation, ..THREE };
    for rule in [Assign::Refuse, Assign::Multus, Assign::InOrder] {
        let error = Case { rule, ..case }.error();
        assert!(error.starts_with(start), "{error}");
    }
    // A hostdev that is in the domain already proves nothing.
    let aliases = &[("a", "0000:01:10.0"), ("b", "0000:01:10.2"), ("c", "0000:02:10.0")];
    assert!(Case { aliases, ..case }.error().starts_with(start));
    // Nor does the device that a selection requests.
    assert_eq!(Case { vmi: &[("a", "x", BRIDGE)], ..case }.planned(), "");
}

#[test]
fn an_empty_list_names_nothing() {
    let error = Case { network_status: Some("[]"), ..THREE }.error();
    assert!(error.starts_with("Multus attached none of a, b, c: network-status names nothing; "), "{error}");
}

#[test]
fn a_message_stays_short_and_on_one_line() {
    let hostile = format!("x\\n{}", "y".repeat(200));
    let entries: Vec<_> = (0..20).map(|_| ("ns/z", hostile.as_str())).collect();
    let error = Case { network_status: Some(&status(&entries)), ..THREE }.error();
    assert!(error.contains(" and 13 others only; ") && error.len() < 1500, "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[rstest]
#[case::where_multus_looks("default!x", "kube-system/x", true)]
#[case::in_the_vmis_namespace("default!x", "ns/x", false)]
#[case::given_namespace("default!ns/x", "ns/x", true)]
#[case::the_clusters_network("default!x", "podnet", false)]
#[case::another_nad("default!x", "kube-system/y", false)]
fn the_default_network(#[case] nad: &str, #[case] name: &str, #[case] attached: bool) {
    let status = format!(r#"[{{"name":"{name}","interface":"eth0","default":true}}]"#);
    let vmi = &[("a", nad, VF)];
    let case = Case { vmi, variables: &[ONE_OF_X, RESOURCES], network_status: Some(&status), ..NOTHING };
    match attached {
        true => assert_eq!(case.planned(), "a=0000:01:10.0"),
        false => assert!(case.error().starts_with("Multus did not attach a: "), "{}", case.error()),
    }
}

/// KubeVirt has read it in network-status.
#[test]
fn network_info_is_proof() {
    let info = r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.5"}}}]}"#;
    for network_status in ["", "[]"] {
        let vmi = &[("a", "x", VF)];
        let case = Case { vmi, network_info: Some(info), network_status: Some(network_status), ..NOTHING };
        assert_eq!(case.planned(), "a=0000:01:10.5");
    }
}

#[test]
fn empty_is_not_known_yet() {
    for network_status in ["", " \n"] {
        let error = Case { network_status: Some(network_status), ..THREE }.plan().unwrap_err();
        let networks = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(error, PlanError::Pending { networks });
    }
    assert_eq!(Case { network_status: None, ..THREE }.planned(), ALL);
}

proptest! {
    /// Whatever network-status holds: who gets a VF is named by it, and no entry stands for two networks.
    #[test]
    fn nobody_gets_a_vf_without_an_entry_of_his_own(
        entries in prop::collection::vec(
            (
                prop::sample::select(vec!["ns/x", "ns/y", "ns/z", "podnet"]),
                prop::sample::select(vec![A, B, C, "net1", "net2", "net3", "eth7", ""]),
            ),
            0..6,
        ),
    ) {
        let status = status(&entries);
        let case = Case { network_status: Some(&status), ..THREE };
        let count = |nad: &str| entries.iter().filter(|(name, _)| *name == nad || *name == "podnet").count();
        if let Ok(planned) = case.plan() {
            prop_assert_eq!(planned.len(), 3);
            prop_assert!(entries.len() >= 3 && count("ns/x") >= 2 && count("ns/y") >= 1, "{}", status);
        }
    }
}
