//! The calls of one start as KubeVirt 1.9.0 made them: with placeholders of its NICs, then with the addresses that
//! libvirt gave out, then with ports for hotplug. The binding plugin's domain is without our hostdevs in the first.

use super::*;

const VMI: &str = include_str!("../../../tests/fixtures/kubevirt/vmi.json");
const CALLS: [&str; 3] = [
    include_str!("../../../tests/fixtures/kubevirt/call-1.xml"),
    include_str!("../../../tests/fixtures/kubevirt/call-2.xml"),
    include_str!("../../../tests/fixtures/kubevirt/call-3.xml"),
];
const BINDING_CALLS: [&str; 3] = [
    include_str!("../../../tests/fixtures/kubevirt/binding-call-1.xml"),
    include_str!("../../../tests/fixtures/kubevirt/binding-call-2.xml"),
    include_str!("../../../tests/fixtures/kubevirt/binding-call-3.xml"),
];
const INFO: &str = include_str!("../../../tests/fixtures/kubevirt/network-info.json");
const STATUS: &str = include_str!("../../../tests/fixtures/kubevirt/network-status.json");
const SELECTIONS: &str = include_str!("../../../tests/fixtures/kubevirt/networks.json");
/// What network-status is if Multus was not ready: the cluster's own network only.
const ONLY_THE_POD: &str =
    r#"[{"name":"podnet","interface":"eth0","ips":["10.88.0.7"],"default":true,"dns":{}}]"#;
/// In the order of the kubelet, which is not that of Multus.
const VARIABLES: &str = "PCIDEVICE_INTEL_COM_SRIOV_VFIO=0000:01:10.4,0000:01:10.2\n\
                         SRIOV_NETWORK_RESOURCES={\"default/storage\":\"intel.com/sriov_vfio\",\"net-admin/uplink\":\"intel.com/sriov_vfio\"}";

fn with_binding() -> String {
    let vmi = VMI.replace(r#""sriov": {}"#, r#""binding": {"name": "sriov"}"#);
    assert_ne!(vmi, VMI);
    vmi
}

fn migrating(vmi: &str) -> String {
    let state =
        r#""status": {"migrationState": {"migrationUid": "1", "sourceNode": "a", "targetNode": "b"}, "#;
    let migrating = vmi.replacen(r#""status": {"#, state, 1);
    assert_ne!(migrating, vmi);
    migrating
}

/// network-status of an SR-IOV CNI that reports no device.
fn without_device_info() -> String {
    let mut status: serde_json::Value = serde_json::from_str(STATUS).unwrap();
    for entry in status.as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("device-info");
    }
    status.to_string()
}

fn found(definition: &Definition<'_>) -> Vec<String> {
    let devices = definition.devices.iter();
    devices.map(|device| format!("{} {} {}", device.network, device.address, device.origin)).collect()
}

#[rstest]
#[case::network_info(Some(INFO), None, Assign::Refuse, "network-info")]
#[case::network_status(None, Some(STATUS.to_owned()), Assign::Refuse, "network-status")]
#[case::both(Some(INFO), Some(STATUS.to_owned()), Assign::Multus, "network-info")]
#[case::no_device_info(
    None,
    Some(without_device_info()),
    Assign::Multus,
    "device plugin variables, in the order of Multus"
)]
fn three_calls(
    #[case] network_info: Option<&str>,
    #[case] network_status: Option<String>,
    #[case] assign: Assign,
    #[case] origin: &str,
) {
    let variables = variables(VARIABLES);
    let sources = PodTexts {
        variables: &variables,
        network_info,
        network_status: network_status.as_deref(),
        networks_annotation: Some(SELECTIONS),
        claims: &[],
    };
    let binding = with_binding();
    let devices = [format!("storage 0000:01:10.2 {origin}"), format!("uplink 0000:01:10.4 {origin}")];
    for (vmi, calls) in [(VMI, CALLS), (binding.as_str(), BINDING_CALLS)] {
        for (number, call) in calls.into_iter().enumerate() {
            let definition = define(vmi, call, &sources, &rule(assign)).unwrap();
            assert_eq!(found(&definition), devices);
            assert_eq!(definition.warnings, [""; 0]);
            assert_eq!(matches!(definition.xml, Cow::Owned(_)), number == 0, "call {}", number + 1);
        }
    }
}

/// KubeVirt's own hostdevs have no mode until libvirt has read them, and that is all that they lack.
#[test]
fn the_first_call_completes_kubevirts_hostdevs() {
    let sources = PodTexts { network_info: Some(INFO), ..PodTexts::default() };
    let definition = define(VMI, CALLS[0], &sources, &Options::default()).unwrap();
    let expected = CALLS[0].replace("<hostdev type=", "<hostdev mode=\"subsystem\" type=");
    assert_ne!(expected, CALLS[0]);
    assert_eq!(definition.xml, expected);
}

#[test]
fn the_first_call_gets_a_binding_plugins_hostdevs() {
    let sources = PodTexts { network_info: Some(INFO), ..PodTexts::default() };
    let definition = define(&with_binding(), BINDING_CALLS[0], &sources, &Options::default()).unwrap();
    insta::assert_snapshot!(inserted(BINDING_CALLS[0], &definition.xml), @r#"
    		<hostdev mode="subsystem" type="pci" managed="no">
    			<source>
    				<address domain="0x0000" bus="0x01" slot="0x10" function="0x2"/>
    			</source>
    			<alias name="ua-sriov-storage"/>
    		</hostdev>
    		<hostdev mode="subsystem" type="pci" managed="no">
    			<source>
    				<address domain="0x0000" bus="0x01" slot="0x10" function="0x4"/>
    			</source>
    			<alias name="ua-sriov-uplink"/>
    		</hostdev>
    "#);
}

/// KubeVirt up to 1.6 has written hostdevs by then; the variables and every rule would name devices.
#[rstest]
#[case::refuse(Assign::Refuse)]
#[case::multus(Assign::Multus)]
#[case::in_order(Assign::InOrder)]
fn no_call_passes_if_multus_attached_nothing(#[case] assign: Assign) {
    let variables = variables(VARIABLES);
    let sources = PodTexts {
        variables: &variables,
        network_info: Some(""),
        network_status: Some(ONLY_THE_POD),
        networks_annotation: Some(SELECTIONS),
        claims: &[],
    };
    let binding = with_binding();
    for (vmi, calls) in [(VMI, CALLS), (binding.as_str(), BINDING_CALLS)] {
        for call in calls {
            let error = define(vmi, call, &sources, &rule(assign)).unwrap_err();
            let start =
                "Multus attached neither storage nor uplink: network-status names eth0 only; the VFs are not";
            assert!(error.to_string().starts_with(start), "{error}");
        }
    }
    // On a migration target KubeVirt attaches the devices afterwards.
    let definition = define(&migrating(VMI), BINDING_CALLS[0], &sources, &rule(assign)).unwrap();
    assert!(matches!(definition.xml, Cow::Borrowed(_)));
}

/// The file of the downward API is there and empty at first.
#[test]
fn no_call_is_decided_before_network_status_has_arrived() {
    let variables = variables(VARIABLES);
    let pending = PodTexts { variables: &variables, network_status: Some("\n"), ..PodTexts::default() };
    let error = define(VMI, CALLS[0], &pending, &rule(Assign::Multus)).unwrap_err();
    let DefineError::Plan(PlanError::Pending { networks }) = error else { panic!("{error}") };
    assert_eq!(networks, ["storage", "uplink"]);
    // KubeVirt makes its own file of it.
    let reported = PodTexts { network_info: Some(INFO), ..pending };
    define(VMI, CALLS[0], &reported, &Options::default()).unwrap();
}

#[test]
fn nothing_known_is_a_success_on_a_migration_target_only() {
    let binding = with_binding();
    for vmi in [VMI, binding.as_str()] {
        let domain = BINDING_CALLS[0];
        let definition = define(&migrating(vmi), domain, &PodTexts::default(), &Options::default()).unwrap();
        assert!(matches!(definition.xml, Cow::Borrowed(same) if same == domain));
        assert_eq!(definition.warnings.len(), 1);
        let error = define(vmi, domain, &PodTexts::default(), &Options::default()).unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"no device for network storage, uplink: no report names one, and there is no PCIDEVICE_ variable: check whether the container `compute` requests the resource of the network's NAD, as sriov-webhook makes it do, and whether the variable is passed on");
        }
    }
}

/// One of the two is of another pod, or was read at another time.
#[test]
fn reports_that_differ_are_refused() {
    let old = INFO.replace("10.2", "10.6");
    let sources = PodTexts { network_info: Some(&old), network_status: Some(STATUS), ..PodTexts::default() };
    let error = define(VMI, CALLS[1], &sources, &Options::default()).unwrap_err();
    insta::assert_snapshot!(error, @"network storage has 0000:01:10.6 in network-info and 0000:01:10.2 in network-status: KubeVirt derives the first from the second, so one of them is stale; read both from the same pod, and restart the virtual machine if they are");
}
