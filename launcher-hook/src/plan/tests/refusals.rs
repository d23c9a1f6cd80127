//! What is refused, and the sentence that says why.

use super::*;

#[rstest]
#[case::several_resources(
    Case { vmi: &[("a", "x", VF), ("b", "y", VF)], variables: &[ONE_OF_X, ONE_OF_Y], ..NOTHING },
    "which of the devices 0000:01:10.0, 0000:02:10.0 belongs to which of the networks a, b is not known: the pod has"
)]
#[case::who_else_takes(
    Case {
        vmi: &[("a", "x", VF), ("b", "y", BRIDGE), ("c", "z", BRIDGE)],
        variables: &[TWO_OF_X],
        rule: Assign::Multus,
        ..NOTHING
    },
    "which of the devices 0000:01:10.0, 0000:01:10.2 belongs to which of the networks a is not known: other networks of the virtual machine may have some of them"
)]
#[case::too_few(
    Case { vmi: &[("a", "x", VF), ("b", "x2", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING },
    "no device for network a, b: "
)]
#[case::some_known_some_missing(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF)],
        variables: &[RESOURCES],
        aliases: &[("b", "0000:01:10.0")],
        ..NOTHING
    },
    "no device for network a (known: b): "
)]
#[case::nad_without_a_resource(
    Case { vmi: &[("a", "z", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING },
    "no device for network a: "
)]
#[case::auxiliary_device(
    Case { vmi: &[("a", "x", VF)], variables: &[("PCIDEVICE_INTEL_COM_X", "mlx5_core.sf.4")], ..NOTHING },
    "device \"mlx5_core.sf.4\" in PCIDEVICE_INTEL_COM_X is not a PCI function and cannot be a hostdev (network a): use a pool of PCI VFs"
)]
#[case::address_without_a_domain(
    Case { vmi: &[("a", "x", VF)], variables: &[("PCIDEVICE_INTEL_COM_X", "01:10.0")], ..NOTHING },
    "device \"01:10.0\" in PCIDEVICE_INTEL_COM_X is not a PCI function and cannot be a hostdev (network a): it lacks \
     the PCI domain; a device plugin writes 0000:01:10.0"
)]
#[case::one_device_twice(
    Case {
        vmi: &[("a", "x", VF), ("b", "x", VF)],
        aliases: &[("a", "0000:01:10.0"), ("b", "0000:01:10.0")],
        ..NOTHING
    },
    "networks a and b would both have 0000:01:10.0: "
)]
#[case::multus_that_does_not_sort(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF), ("c", "x2", VF_WITH_MAC)],
        variables: &[("PCIDEVICE_INTEL_COM_X", "0000:01:10.2,0000:01:10.0,0000:01:10.4"), RESOURCES],
        network_info: Some(
            r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.4"}}}]}"#
        ),
        rule: Assign::Multus,
        ..NOTHING
    },
    "--assign multus would give 0000:01:10.0 to network a, which has 0000:01:10.4: "
)]
#[case::broken_annotation(
    Case { vmi: &[("a", "x", VF)], annotation: Some("[null]"), ..NOTHING },
    "the networks annotation element 1: "
)]
#[case::name_that_is_no_alias(
    Case { vmi: &[("a'b", "x", VF)], ..NOTHING },
    "interface \"a'b\" of the VMI cannot be part of an alias"
)]
#[case::bad_nad(Case { vmi: &[("a", "../x", VF)], ..NOTHING }, "network \"a\" of the VMI: namespace \"..\"")]
#[case::bad_mac_address(
    Case { vmi: &[("a", "x", r#","sriov":{},"macAddress":"020000000001""#)], ..NOTHING },
    "interface \"a\" of the VMI has an invalid macAddress: \"020000000001\""
)]
#[case::bad_guest_address(
    Case { vmi: &[("a", "x", r#","sriov":{},"pciAddress":"7""#)], ..NOTHING },
    "interface \"a\" of the VMI has an invalid pciAddress: \"7\""
)]
fn errors(#[case] case: Case<'_>, #[case] start: &str) {
    let error = case.error();
    assert!(error.starts_with(start), "{error}");
}

/// Each reason has a remedy of its own: a rule is only recommended where it would decide.
#[rstest]
#[case::several_resources(
    Case { vmi: &[("a", "x", VF), ("b", "y", VF)], variables: &[ONE_OF_X, ONE_OF_Y], ..NOTHING },
    Ambiguity::Resources,
    Remedy::NetworkResources
)]
#[case::several_resources_with_a_rule(
    Case {
        vmi: &[("a", "x", VF), ("b", "y", VF)],
        variables: &[ONE_OF_X, ONE_OF_Y],
        annotation: Some("x, y"),
        rule: Assign::Multus,
        ..NOTHING
    },
    Ambiguity::Resources,
    Remedy::NetworkResources
)]
#[case::who_else_takes(
    Case { vmi: &[("a", "x", VF), ("b", "y", BRIDGE), ("c", "z", BRIDGE)], variables: &[TWO_OF_X], ..NOTHING },
    Ambiguity::Takers,
    Remedy::NetworkResources
)]
#[case::not_alike(
    Case { vmi: &[("a", "x", VF), ("b", "x2", VF)], variables: &[TWO_OF_X, RESOURCES], ..NOTHING },
    Ambiguity::NotAlike,
    Remedy::Multus
)]
#[case::not_alike_and_one_may_have_gone(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF), ("c", "z", ABSENT)],
        variables: &[TWO_OF_X, RESOURCES],
        ..NOTHING
    },
    Ambiguity::NotAlike,
    Remedy::MultusWithSelections
)]
#[case::more_devices_than_networks(
    Case { vmi: &[("a", "x", VF)], variables: &[TWO_OF_X, RESOURCES], annotation: Some("x"), ..NOTHING },
    Ambiguity::Spare,
    Remedy::Multus
)]
#[case::more_devices_than_networks_without_the_selections(
    Case { vmi: &[("a", "x", VF)], variables: &[TWO_OF_X, RESOURCES], ..NOTHING },
    Ambiguity::Spare,
    Remedy::MultusWithSelections
)]
#[case::multus_without_the_selections_and_more_devices(
    Case { vmi: &[("a", "x", VF)], variables: &[TWO_OF_X, RESOURCES], rule: Assign::Multus, ..NOTHING },
    Ambiguity::Unnamed,
    Remedy::MultusWithSelections
)]
#[case::multus_without_the_selections_and_an_absent_interface(
    Case {
        vmi: &[("a", "x", ABSENT), ("b", "x", VF)],
        variables: &[TWO_OF_X, RESOURCES],
        rule: Assign::Multus,
        ..NOTHING
    },
    Ambiguity::Order,
    Remedy::MultusWithSelections
)]
fn ambiguities(#[case] case: Case<'_>, #[case] expected: Ambiguity, #[case] cure: Remedy) {
    let error = case.plan().unwrap_err();
    let PlanError::Ambiguous { reason, remedy, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*reason, *remedy), (expected, cure), "{error}");
    let message = error.to_string();
    let recommends = message.contains("--assign multus");
    assert_eq!(recommends, matches!(cure, Remedy::Multus | Remedy::MultusWithSelections), "{message}");
}

/// One sentence for each way in which a device can be missing.
#[rstest]
#[case::no_resource(
    Case { vmi: &[("a", "z", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING },
    "no device for network a: neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for \
     NetworkAttachmentDefinition ns/z: annotate the NAD with k8s.v1.cni.cncf.io/resourceName, and"
)]
#[case::no_resource_of_any(
    Case { vmi: &[("a", "x", VF)], variables: &[ONE_OF_X, ("SRIOV_NETWORK_RESOURCES", "{}")], ..NOTHING },
    "no device for network a: neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for \
     NetworkAttachmentDefinition ns/x: "
)]
#[case::no_variable(
    Case { vmi: &[("a", "x", VF)], variables: &[ONE_OF_Y, RESOURCES], ..NOTHING },
    "no device for network a: PCIDEVICE_INTEL_COM_X, in which the device plugin names the devices of intel.com/x, \
     is not there: "
)]
#[case::too_few_devices(
    Case { vmi: &[("a", "x", VF), ("b", "x2", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING },
    "no device for network a, b: PCIDEVICE_INTEL_COM_X has 1 for 2 networks: "
)]
#[case::nothing_of_its_resource(
    Case { vmi: &[("a", "x", VF)], variables: &[RESOURCES], ..NOTHING },
    "no device for network a: PCIDEVICE_INTEL_COM_X, in which the device plugin names the devices of intel.com/x, "
)]
#[case::nothing_at_all(
    Case { vmi: &[("a", "x", VF)], ..NOTHING },
    "no device for network a: no report names one, and there is no PCIDEVICE_ variable: look whether the container "
)]
#[case::no_selection(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF)],
        variables: &[ONE_OF_X, RESOURCES],
        annotation: Some("x"),
        ..NOTHING
    },
    "no device for network b (known: a): none of the pod's selections is known to be its own: "
)]
#[case::each_for_a_reason_of_its_own(
    Case {
        vmi: &[("a", "z", VF), ("b", "y", VF), ("c", "z", VF), ("d", "x", VF)],
        variables: &[ONE_OF_X, RESOURCES],
        ..NOTHING
    },
    "no device for network a, c (known: d): neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a \
     resource for NetworkAttachmentDefinition ns/z: annotate the NAD with k8s.v1.cni.cncf.io/resourceName, and start \
     the virtual machine anew; no device for network b (known: d): PCIDEVICE_INTEL_COM_Y, in which"
)]
fn missing_devices(#[case] case: Case<'_>, #[case] start: &str) {
    let error = case.error();
    assert!(error.starts_with(start), "{error}");
}

const VDPA: &str =
    r#"{"type":"vdpa","version":"1.1.0","vdpa":{"parent-device":"vdpa:0000:65:02.1","driver":"vhost"}}"#;

/// The variables hold the address of a vdpa device's VF as well; a hostdev of it would take it from its driver.
#[rstest]
#[case::network_info(Some(format!(r#"{{"interfaces":[{{"network":"b","deviceInfo":{VDPA}}}]}}"#)), None, "network-info")]
#[case::network_status(None, Some(format!(r#"[{{"name":"ns/y","interface":"net1","device-info":{VDPA}}}]"#)), "network-status")]
fn a_network_that_is_reported_as_no_pci_function(
    #[case] network_info: Option<String>,
    #[case] network_status: Option<String>,
    #[case] report: &str,
) {
    let case = Case {
        vmi: &[("b", "y", VF)],
        variables: &[ONE_OF_Y],
        network_info: network_info.as_deref(),
        network_status: network_status.as_deref(),
        ..NOTHING
    };
    let start = format!(
        "{report} reports the device of network b as \"vdpa\", which cannot be a hostdev: use a NAD whose resource is"
    );
    assert!(case.error().starts_with(&start), "{}", case.error());
    // Who wants no hostdev is not concerned.
    assert_eq!(Case { vmi: &[("b", "y", BRIDGE)], ..case }.planned(), "");
}

/// The device plugin of one resource overwrites what the other's wrote: whose devices they are is not known.
#[rstest]
#[case::dots_and_underscores("intel.com/net.x", "intel.com/net_x", "PCIDEVICE_INTEL_COM_NET_X")]
#[case::capitals("intel.com/Net", "intel.com/net", "PCIDEVICE_INTEL_COM_NET")]
fn two_resources_with_one_variable(#[case] first: &str, #[case] second: &str, #[case] variable: &str) {
    let resources = format!(r#"{{"ns/x":"{first}","ns/y":"{second}"}}"#);
    let variables =
        &[(variable, "0000:01:10.0,0000:01:10.2"), ("SRIOV_NETWORK_RESOURCES", resources.as_str())];
    let start = format!(
        "{first} and {second} share the variable {variable}: name the pools so that they differ in more"
    );
    for vmi in [&[("a", "x", VF), ("b", "y", VF)], &[("a", "x", VF), ("b", "y", BRIDGE)]] {
        for rule in [Assign::Refuse, Assign::Multus] {
            let case = Case { vmi, variables, rule, ..NOTHING };
            assert!(case.error().starts_with(&start), "{}", case.error());
        }
    }
    // Who is not of this machine does not matter, nor does the variable if the device is reported.
    let alone =
        Case { vmi: &[("a", "x", VF)], variables: &[(variable, "0000:01:10.0"), variables[1]], ..NOTHING };
    assert_eq!(alone.planned(), "a=0000:01:10.0");
    let info = r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.0"}}}]}"#;
    let vmi = &[("a", "x", VF), ("b", "y", BRIDGE)];
    assert_eq!(Case { vmi, variables, network_info: Some(info), ..NOTHING }.planned(), "a=0000:01:10.0");
}
