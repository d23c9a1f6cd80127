//! What is known already, and how far it is trusted: reports first, then the rule that was chosen, then the domain.

use super::*;
use proptest::prelude::*;

/// The networks as KubeVirt 1.6 describes them, and its variable.
const AS_IN_KUBEVIRT_1_6: Case<'_> = Case {
    vmi: &[("a", "x", VF), ("b", "x2", VF)],
    variables: &[
        TWO_OF_X,
        ("KUBEVIRT_RESOURCE_NAME_a", "intel.com/x"),
        ("KUBEVIRT_RESOURCE_NAME_b", "intel.com/x"),
    ],
    ..NOTHING
};
const IN_ITS_ORDER: &[(&str, &str)] = &[("a", "0000:01:10.2"), ("b", "0000:01:10.0")];
const B_IS_REPORTED: &str =
    r#"{"interfaces":[{"network":"b","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.0"}}}]}"#;
const GUESS: &str = "only the domain says which device of PCIDEVICE_INTEL_COM_X is whose (";

/// The rule corrects what nobody has reported, and says so.
#[rstest]
#[case::both(IN_ITS_ORDER, &[
    "network a had 0000:01:10.2 in the domain, as KubeVirt up to 1.6 guesses from the order in PCIDEVICE_INTEL_COM_X; \
     it gets 0000:01:10.0 (device plugin variables, in the order of Multus)",
    "network b had 0000:01:10.0 in the domain, ",
])]
#[case::one(&[("a", "0000:01:10.2")], &["network a had 0000:01:10.2 in the domain, "])]
#[case::right_already(&[("a", "0000:01:10.0"), ("b", "0000:01:10.2")], &[])]
fn the_rule_of_multus_comes_before_an_alias(#[case] aliases: &[(&str, &str)], #[case] starts: &[&str]) {
    let case = Case { aliases, rule: Assign::Multus, ..AS_IN_KUBEVIRT_1_6 };
    assert_eq!(case.planned(), "a=0000:01:10.0 b=0000:01:10.2");
    assert_warnings(&case, starts);
}

fn assert_warnings(case: &Case<'_>, starts: &[&str]) {
    let mut warnings = Vec::new();
    case.plan_with(&mut warnings).unwrap();
    assert_eq!(warnings.len(), starts.len(), "{warnings:?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning}");
    }
}

/// Without a rule that says more the domain is right, but not without a word.
#[rstest]
#[case::refuse(Case { aliases: IN_ITS_ORDER, ..AS_IN_KUBEVIRT_1_6 }, true)]
#[case::one_alias_settles_the_other(Case { aliases: &[("a", "0000:01:10.2")], ..AS_IN_KUBEVIRT_1_6 }, true)]
#[case::in_order_was_asked_for(
    Case { aliases: IN_ITS_ORDER, rule: Assign::InOrder, ..AS_IN_KUBEVIRT_1_6 },
    false
)]
#[case::multus_that_cannot_know(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF), ("c", "x", ABSENT)],
        aliases: IN_ITS_ORDER,
        rule: Assign::Multus,
        ..AS_IN_KUBEVIRT_1_6
    },
    true
)]
#[case::several_resources_and_nothing_says_which(
    Case { variables: &[TWO_OF_X, ONE_OF_Y], aliases: IN_ITS_ORDER, ..AS_IN_KUBEVIRT_1_6 },
    true
)]
#[case::the_report_leaves_one(
    Case { aliases: IN_ITS_ORDER, network_info: Some(B_IS_REPORTED), ..AS_IN_KUBEVIRT_1_6 },
    false
)]
#[case::the_report_leaves_one_whatever_the_rule(
    Case {
        aliases: IN_ITS_ORDER,
        network_info: Some(B_IS_REPORTED),
        rule: Assign::Multus,
        ..AS_IN_KUBEVIRT_1_6
    },
    false
)]
#[case::it_makes_no_difference(
    Case { vmi: &[("a", "x", VF), ("b", "x", VF)], aliases: IN_ITS_ORDER, ..AS_IN_KUBEVIRT_1_6 },
    false
)]
#[case::it_makes_a_difference_to_a_mac(
    Case { vmi: &[("a", "x", VF_WITH_MAC), ("b", "x", VF)], aliases: IN_ITS_ORDER, ..AS_IN_KUBEVIRT_1_6 },
    true
)]
#[case::no_variable_to_guess_from(Case { variables: &[], aliases: IN_ITS_ORDER, ..AS_IN_KUBEVIRT_1_6 }, false)]
fn an_alias_stays(#[case] case: Case<'_>, #[case] warned: bool) {
    assert_eq!(case.planned(), "a=0000:01:10.2 b=0000:01:10.0");
    assert_warnings(&case, if warned { &[GUESS] } else { &[] });
}

#[test]
fn a_pool_of_one_leaves_nothing_to_guess() {
    let case =
        Case { vmi: &[("a", "x", VF)], variables: &[ONE_OF_X], aliases: &[("a", "0000:01:10.0")], ..NOTHING };
    assert_eq!(case.planned(), "a=0000:01:10.0");
    assert_warnings(&case, &[]);
}

/// The other device of the pool is the bridge's, or the bridge has this one.
#[test]
fn another_binding_may_have_the_aliased_device() {
    let vmi = &[("a", "x", VF), ("b", "x2", BRIDGE)];
    let case = Case { vmi, aliases: &[("a", "0000:01:10.2")], ..AS_IN_KUBEVIRT_1_6 };
    assert_eq!(case.planned(), "a=0000:01:10.2");
    assert_warnings(&case, &[GUESS]);
    assert_eq!(Case { rule: Assign::Multus, ..case }.planned(), "a=0000:01:10.0");
}

/// A status by number says nothing if a network that is on its way out may have had a number as well.
#[test]
fn numbers_of_interfaces_count_only_with_their_places() {
    let status = r#"[{"name":"ns/x","interface":"net1","device-info":{"type":"pci","pci":{"pci-address":"0000:01:10.0"}}},
        {"name":"ns/x","interface":"net2","device-info":{"type":"pci","pci":{"pci-address":"0000:01:10.2"}}}]"#;
    let case = Case { vmi: &[("a", "x", ABSENT), ("b", "x", VF)], network_status: Some(status), ..NOTHING };
    assert!(case.error().starts_with("no device for network b: "), "{}", case.error());
    assert_eq!(Case { annotation: Some("x@net1,x@net2"), ..case }.planned(), "b=0000:01:10.2");
}

/// The pod has the attachment of a network that the VMI has no more: the first number may be that one's.
#[test]
fn numbers_of_interfaces_say_nothing_beside_those_of_others() {
    let status = r#"[{"name":"ns/x","interface":"net1","device-info":{"type":"pci","pci":{"pci-address":"0000:01:10.0"}}},
        {"name":"ns/x","interface":"net2","device-info":{"type":"pci","pci":{"pci-address":"0000:01:10.2"}}}]"#;
    let case = Case { vmi: &[("b", "x", VF)], variables: &[TWO_OF_X, RESOURCES], ..NOTHING };
    let listed = Case { network_status: Some(status), ..case };
    assert!(listed.error().starts_with("which of the devices "), "{}", listed.error());
    let selected = Case { annotation: Some("x@net1,x@net2"), rule: Assign::Multus, ..case };
    assert!(
        selected.error().starts_with("no device for network b: none of the pod's"),
        "{}",
        selected.error()
    );
    // KubeVirt's names of today say whose they are.
    assert_eq!(Case { annotation: Some("x@net1,x@pod3e23e816003"), ..selected }.planned(), "b=0000:01:10.2");
}

proptest! {
    /// Whatever a domain says under the aliases, the rule has the last word where nothing is reported.
    #[test]
    fn no_alias_changes_what_the_rule_gives(functions in prop::collection::vec(0..8u8, 0..=3)) {
        let variable = ("PCIDEVICE_INTEL_COM_X", "0000:01:10.4,0000:01:10.2,0000:01:10.0");
        let vmi = &[("a", "x", VF_WITH_MAC), ("b", "x2", VF), ("c", "x", VF)];
        let bare = Case { vmi, variables: &[variable, RESOURCES], rule: Assign::Multus, ..NOTHING };
        let addresses: Vec<_> = functions.iter().map(|function| format!("0000:01:10.{function}")).collect();
        let aliases: Vec<_> = ["a", "b", "c"].into_iter().zip(addresses.iter().map(String::as_str)).collect();
        prop_assert_eq!(Case { aliases: &aliases, ..bare }.planned(), bare.planned());
    }
}
