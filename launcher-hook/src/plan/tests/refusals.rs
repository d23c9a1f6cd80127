//! What is refused, and the sentence that says why.

use super::*;

/// What each case is told, below its name.
fn told<const N: usize>(cases: [(&str, Case<'_>); N]) -> String {
    cases.iter().map(|(name, case)| format!("{name}\n  {}", case.error())).collect::<Vec<_>>().join("\n")
}

#[test]
fn errors() {
    let cases = [
        (
            "several resources",
            Case { vmi: &[("a", "x", VF), ("b", "y", VF)], variables: &[ONE_OF_X, ONE_OF_Y], ..NOTHING },
        ),
        (
            "who else takes",
            Case {
                vmi: &[("a", "x", VF), ("b", "y", BRIDGE), ("c", "z", BRIDGE)],
                variables: &[TWO_OF_X],
                rule: Assign::Multus,
                ..NOTHING
            },
        ),
        (
            "too few",
            Case { vmi: &[("a", "x", VF), ("b", "x2", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING },
        ),
        (
            "some known some missing",
            Case {
                vmi: &[("a", "x", VF), ("b", "x2", VF)],
                variables: &[RESOURCES],
                aliases: &[("b", "0000:01:10.0")],
                ..NOTHING
            },
        ),
        (
            "nad without a resource",
            Case { vmi: &[("a", "z", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING },
        ),
        (
            "auxiliary device",
            Case {
                vmi: &[("a", "x", VF)],
                variables: &[("PCIDEVICE_INTEL_COM_X", "mlx5_core.sf.4")],
                ..NOTHING
            },
        ),
        (
            "address without a domain",
            Case { vmi: &[("a", "x", VF)], variables: &[("PCIDEVICE_INTEL_COM_X", "01:10.0")], ..NOTHING },
        ),
        (
            "one device twice",
            Case {
                vmi: &[("a", "x", VF), ("b", "x", VF)],
                aliases: &[("a", "0000:01:10.0"), ("b", "0000:01:10.0")],
                ..NOTHING
            },
        ),
        (
            "multus that does not sort",
            Case {
                vmi: &[("a", "x", VF), ("b", "x2", VF), ("c", "x2", VF_WITH_MAC)],
                variables: &[("PCIDEVICE_INTEL_COM_X", "0000:01:10.2,0000:01:10.0,0000:01:10.4"), RESOURCES],
                network_info: Some(
                    r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.4"}}}]}"#,
                ),
                rule: Assign::Multus,
                ..NOTHING
            },
        ),
        ("broken annotation", Case { vmi: &[("a", "x", VF)], annotation: Some("[null]"), ..NOTHING }),
        ("name that cannot be an alias", Case { vmi: &[("a'b", "x", VF)], ..NOTHING }),
        ("bad nad", Case { vmi: &[("a", "../x", VF)], ..NOTHING }),
        (
            "bad mac address",
            Case { vmi: &[("a", "x", r#","sriov":{},"macAddress":"020000000001""#)], ..NOTHING },
        ),
        ("bad guest address", Case { vmi: &[("a", "x", r#","sriov":{},"pciAddress":"7""#)], ..NOTHING }),
    ];
    insta::assert_snapshot!(told(cases), @r#"
    several resources
      which of the devices 0000:01:10.0, 0000:02:10.0 belongs to which of the networks a, b is not known: the pod has devices of several resources, and nothing says which network has which. KubeVirt's network-info would settle it, or SRIOV_NETWORK_RESOURCES with the resource of each NAD, which sriov-webhook writes where it injects launcher-hook
    who else takes
      which of the devices 0000:01:10.0, 0000:01:10.2 belongs to which of the networks a is not known: other networks of the virtual machine may have some of them, and nothing says which resource theirs is. KubeVirt's network-info would settle it, or SRIOV_NETWORK_RESOURCES with the resource of each NAD, which sriov-webhook writes where it injects launcher-hook
    too few
      no device for network a, b: PCIDEVICE_INTEL_COM_X has 1 for 2 networks: raise what the container `compute` requests, as sriov-webhook does, and restart the virtual machine
    some known some missing
      no device for network a (known: b): PCIDEVICE_INTEL_COM_X, in which the device plugin names the devices of intel.com/x, is not set: check whether the container `compute` requests the resource, as sriov-webhook makes it do, and whether the variable is passed on
    nad without a resource
      no device for network a: neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for NetworkAttachmentDefinition ns/z: annotate the NAD with k8s.v1.cni.cncf.io/resourceName, and restart the virtual machine
    auxiliary device
      device "mlx5_core.sf.4" in PCIDEVICE_INTEL_COM_X is not a PCI function and cannot be a hostdev (network a): use a pool of PCI VFs
    address without a domain
      device "01:10.0" in PCIDEVICE_INTEL_COM_X is not a PCI function and cannot be a hostdev (network a): it lacks the PCI domain; a device plugin writes 0000:01:10.0
    one device twice
      networks a and b would both have 0000:01:10.0: a VF belongs to one network
    multus that does not sort
      --assign multus would give 0000:01:10.0 to network a, which has 0000:01:10.4: this Multus does not sort its devices; use network-info
    broken annotation
      the networks annotation element 1: "null" is not a network selection (invalid type: null, expected an object with a name at line 1 column 4)
    name that cannot be an alias
      interface "a'b" of the VMI cannot be part of an alias (ua-sriov-NAME): only letters, digits, '-', '_' and '.' are allowed
    bad nad
      network "a" of the VMI: namespace ".." has the character '.'; only lower-case letters, digits and '-' are allowed
    bad mac address
      interface "a" of the VMI has an invalid macAddress: "020000000001" is not a MAC address: write six octets such as 02:00:00:aa:bb:01
    bad guest address
      interface "a" of the VMI has an invalid pciAddress: "7" is not a PCI address: write domain:bus:device.function such as 0000:65:02.1
    "#);
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
#[test]
fn missing_devices() {
    let cases = [
        ("no resource", Case { vmi: &[("a", "z", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING }),
        (
            "no resource of any",
            Case {
                vmi: &[("a", "x", VF)],
                variables: &[ONE_OF_X, ("SRIOV_NETWORK_RESOURCES", "{}")],
                ..NOTHING
            },
        ),
        ("no variable", Case { vmi: &[("a", "x", VF)], variables: &[ONE_OF_Y, RESOURCES], ..NOTHING }),
        (
            "too few devices",
            Case { vmi: &[("a", "x", VF), ("b", "x2", VF)], variables: &[ONE_OF_X, RESOURCES], ..NOTHING },
        ),
        ("nothing of its resource", Case { vmi: &[("a", "x", VF)], variables: &[RESOURCES], ..NOTHING }),
        ("nothing at all", Case { vmi: &[("a", "x", VF)], ..NOTHING }),
        (
            "no selection",
            Case {
                vmi: &[("a", "x", VF), ("b", "x2", VF)],
                variables: &[ONE_OF_X, RESOURCES],
                annotation: Some("x"),
                ..NOTHING
            },
        ),
        (
            "each for a reason of its own",
            Case {
                vmi: &[("a", "z", VF), ("b", "y", VF), ("c", "z", VF), ("d", "x", VF)],
                variables: &[ONE_OF_X, RESOURCES],
                ..NOTHING
            },
        ),
    ];
    insta::assert_snapshot!(told(cases), @r"
    no resource
      no device for network a: neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for NetworkAttachmentDefinition ns/z: annotate the NAD with k8s.v1.cni.cncf.io/resourceName, and restart the virtual machine
    no resource of any
      no device for network a: neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for NetworkAttachmentDefinition ns/x: annotate the NAD with k8s.v1.cni.cncf.io/resourceName, and restart the virtual machine
    no variable
      no device for network a: PCIDEVICE_INTEL_COM_X, in which the device plugin names the devices of intel.com/x, is not set: check whether the container `compute` requests the resource, as sriov-webhook makes it do, and whether the variable is passed on
    too few devices
      no device for network a, b: PCIDEVICE_INTEL_COM_X has 1 for 2 networks: raise what the container `compute` requests, as sriov-webhook does, and restart the virtual machine
    nothing of its resource
      no device for network a: PCIDEVICE_INTEL_COM_X, in which the device plugin names the devices of intel.com/x, is not set: check whether the container `compute` requests the resource, as sriov-webhook makes it do, and whether the variable is passed on
    nothing at all
      no device for network a: no report names one, and there is no PCIDEVICE_ variable: check whether the container `compute` requests the resource of the network's NAD, as sriov-webhook makes it do, and whether the variable is passed on
    no selection
      no device for network b (known: a): none of the pod's selections is known to be its own: if it was added after the pod had started, migrate the virtual machine or restart it
    each for a reason of its own
      no device for network a, c (known: d): neither SRIOV_NETWORK_RESOURCES nor KUBEVIRT_RESOURCE_NAME_* has a resource for NetworkAttachmentDefinition ns/z: annotate the NAD with k8s.v1.cni.cncf.io/resourceName, and restart the virtual machine; no device for network b (known: d): PCIDEVICE_INTEL_COM_Y, in which the device plugin names the devices of intel.com/y, is not set: check whether the container `compute` requests the resource, as sriov-webhook makes it do, and whether the variable is passed on
    ");
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
