use super::*;
use rstest::rstest;

const TWO_NADS: &str = r#"{
    "a": {"nad": "ns/a", "resource": "intel.com/vf", "sriov": true},
    "b": {"nad": "ns/b", "resource": "intel.com/other", "sriov": true},
    "c": {"nad": "ns/c"}
}"#;
/// Interface names are `pod` and the start of sha256 of `a` and `b`.
const SELECTIONS: &str = r#"[
    {"name": "a", "namespace": "ns", "interface": "podca978112ca1"},
    {"name": "b", "namespace": "ns", "interface": "pod3e23e816003"},
    {"name": "c", "namespace": "ns", "interface": "pod2e7d2c03a95"}
]"#;
const RESOURCES: &str = r#"{"ns/a": "intel.com/vf", "ns/b": "intel.com/other"}"#;
const ONE: &str = "0000:01:10.0";
const TWO: &str = "0000:01:10.2";

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Each network in its own pool.
fn apart() -> Vec<(String, String)> {
    variables(&[
        ("PCIDEVICE_INTEL_COM_VF", ONE),
        ("PCIDEVICE_INTEL_COM_OTHER", TWO),
        ("SRIOV_NETWORK_RESOURCES", RESOURCES),
    ])
}

/// Both networks on one resource, which has `value`.
fn together(value: &str) -> Vec<(String, String)> {
    variables(&[
        ("PCIDEVICE_INTEL_COM_VF", value),
        ("SRIOV_NETWORK_RESOURCES", r#"{"ns/a": "intel.com/vf", "ns/b": "intel.com/vf"}"#),
    ])
}

fn entry(network: &str, address: &str) -> Value {
    json!({"network": network, "deviceInfo": {"type": "pci", "version": "1.1.0", "pci": {"pci-address": address}}})
}

fn run(
    variables: &[(String, String)],
    network_info: Option<&str>,
    selections: &str,
    vmi_networks: Option<&str>,
    rule: Assign,
) -> Completion {
    let sources =
        PodTexts { variables, network_info, networks_annotation: Some(selections), ..PodTexts::default() };
    complete(&sources, vmi_networks, rule)
}

fn text(completion: Completion) -> Value {
    let Completion::Completed { text, .. } = completion else { panic!("{completion:?}") };
    serde_json::from_str(&text).unwrap()
}

#[rstest]
#[case::not_written_yet(None)]
#[case::empty(Some("\n"))]
#[case::no_interfaces(Some("{}"))]
#[case::null(Some(r#"{"interfaces":null}"#))]
#[case::names_only(Some(r#"{"interfaces":[{"network":"b"},{"network":"a"}]}"#))]
fn variables_say_what_kubevirt_does_not(#[case] network_info: Option<&str>) {
    let completion = run(&apart(), network_info, SELECTIONS, Some(TWO_NADS), Assign::Refuse);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", ONE), entry("b", TWO)]}));
}

#[test]
fn what_kubevirt_wrote_stays() {
    let own = json!({"interfaces": [
        {"network": "b", "mac": "02:00:00:00:00:01", "mtu": 9000, "new": {"deep": [1]}},
        entry("a", ONE),
        {"network": "v", "deviceInfo": {"type": "vdpa", "vdpa": {}}}
    ], "version": 2});
    let completion = run(&apart(), Some(&own.to_string()), SELECTIONS, Some(TWO_NADS), Assign::Refuse);
    let mut expected = entry("b", TWO);
    expected["mac"] = json!("02:00:00:00:00:01");
    expected["mtu"] = json!(9000);
    expected["new"] = json!({"deep": [1]});
    assert_eq!(
        text(completion),
        json!({"interfaces": [entry("a", ONE), expected, own["interfaces"][2]], "version": 2})
    );
}

#[test]
fn without_the_vmis_annotation_the_names_are_kubevirts() {
    let own = r#"{"interfaces":[{"network":"a"},{"network":"b"}]}"#;
    let completion = run(&apart(), Some(own), SELECTIONS, None, Assign::Refuse);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", ONE), entry("b", TWO)]}));
}

#[rstest]
#[case::all(json!({"interfaces": [entry("a", ONE), entry("b", TWO)]}), Some(TWO_NADS))]
#[case::against_the_order_of_the_variables(json!({"interfaces": [entry("a", TWO), entry("b", ONE)]}), Some(TWO_NADS))]
#[case::without_the_vmis_annotation(json!({"interfaces": [entry("a", ONE)]}), None)]
fn kubevirts_own_text_is_taken_as_it_is(#[case] own: Value, #[case] vmi_networks: Option<&str>) {
    let own = format!(" {own}\n");
    let completion =
        run(&together("0000:01:10.0,0000:01:10.2"), Some(&own), SELECTIONS, vmi_networks, Assign::Refuse);
    assert_eq!(completion, Completion::Own(own));
}

const ONE_RESOURCE: &str = r#"{
    "a": {"nad": "ns/a", "resource": "intel.com/vf", "sriov": true},
    "b": {"nad": "ns/b", "resource": "intel.com/vf", "sriov": true}
}"#;

#[rstest]
#[case::ambiguous(
    together("0000:01:10.0,0000:01:10.2"),
    None,
    Some(ONE_RESOURCE),
    "which of the devices 0000:01:10.0, 0000:01:10.2 belongs to which"
)]
#[case::half_of_it_ambiguous(
    together("0000:01:10.0,0000:01:10.2"),
    Some(r#"{"interfaces":[{"network":"a"}]}"#),
    Some(ONE_RESOURCE),
    "which of the devices"
)]
#[case::too_few(together("0000:01:10.0"), None, Some(ONE_RESOURCE), "no device for network a, b")]
#[case::nothing(
    Vec::new(),
    None,
    Some(ONE_RESOURCE),
    "no device for network a, b: PCIDEVICE_INTEL_COM_VF, in which "
)]
#[case::no_names(together("0000:01:10.0"), None, None, "which networks of the VMI have a VF is not known")]
#[case::no_names_of_kubevirts(
    together("0000:01:10.0"),
    Some("{}"),
    None,
    "which networks of the VMI have a VF is"
)]
#[case::no_json(apart(), Some("{"), Some(TWO_NADS), "network-info cannot be read")]
#[case::annotation_is_no_json(
    apart(),
    None,
    Some("{"),
    "annotation kubevirt-sriov.io/networks cannot be read"
)]
fn what_nothing_settles_stays_as_it_is(
    #[case] variables: Vec<(String, String)>,
    #[case] network_info: Option<&str>,
    #[case] vmi_networks: Option<&str>,
    #[case] start: &str,
) {
    let completion = run(&variables, network_info, SELECTIONS, vmi_networks, Assign::Refuse);
    let Completion::Open { text, reason } = completion else { panic!("{completion:?}") };
    assert_eq!(text.as_deref(), network_info);
    assert!(reason.to_string().starts_with(start), "{reason}");
}

#[test]
fn networks_that_are_alike_take_any() {
    let selections = r#"[
        {"name": "a", "namespace": "ns", "interface": "podca978112ca1"},
        {"name": "a", "namespace": "ns", "interface": "pod3e23e816003"}
    ]"#;
    let vmi_networks = ONE_RESOURCE.replace("ns/b", "ns/a");
    let completion =
        run(&together("0000:01:10.2,0000:01:10.0"), None, selections, Some(&vmi_networks), Assign::Refuse);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", ONE), entry("b", TWO)]}));
    let with_mac = selections.replacen(r#""namespace""#, r#""mac": "02:00:00:00:00:01", "namespace""#, 1);
    let completion =
        run(&together("0000:01:10.2,0000:01:10.0"), None, &with_mac, Some(&vmi_networks), Assign::Refuse);
    assert!(matches!(completion, Completion::Open { .. }), "{completion:?}");
}

#[rstest]
#[case::multus(Assign::Multus, [ONE, TWO])]
#[case::in_order(Assign::InOrder, [TWO, ONE])]
fn a_rule_that_was_asked_for_decides(#[case] rule: Assign, #[case] order: [&str; 2]) {
    let [a, b] = order;
    let completion = run(&together("0000:01:10.2,0000:01:10.0"), None, SELECTIONS, Some(ONE_RESOURCE), rule);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", a), entry("b", b)]}));
}

#[test]
fn multus_own_report_comes_before_the_variables() {
    let status = r#"[{"name": "ns/a", "interface": "podca978112ca1"}, {"name": "ns/b", "interface": "pod3e23e816003", "device-info": {"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:01:10.0"}}}]"#;
    let variables = together("0000:01:10.2,0000:01:10.0");
    let sources = PodTexts {
        variables: &variables,
        network_info: None,
        networks_annotation: Some(SELECTIONS),
        network_status: Some(status),
        claims: &[],
    };
    let completion = complete(&sources, Some(ONE_RESOURCE), Assign::Refuse);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", TWO), entry("b", ONE)]}));
}

/// `a` is a VF; the cluster's own network is replaced by `d`, on the same resource, which is attached before it.
const WITH_DEFAULT: &str = r#"{
    "a": {"nad": "ns/a", "resource": "intel.com/vf", "sriov": true},
    "d": {"nad": "ns/d", "resource": "intel.com/vf", "default": true}
}"#;
const ONLY_A: &str = r#"[{"name": "a", "namespace": "ns", "interface": "podca978112ca1"}]"#;

#[test]
fn the_default_network_takes_its_device_first() {
    let variables = variables(&[
        ("PCIDEVICE_INTEL_COM_VF", "0000:01:10.2,0000:01:10.0"),
        ("SRIOV_NETWORK_RESOURCES", r#"{"ns/a": "intel.com/vf", "ns/d": "intel.com/vf"}"#),
    ]);
    let completion = run(&variables, None, ONLY_A, Some(WITH_DEFAULT), Assign::Multus);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", TWO)]}));
    // Who is not told of it sees a device too many, and does not guess whose it is.
    let own = r#"{"interfaces":[{"network":"a"}]}"#;
    let silent = WITH_DEFAULT.replace(r#", "default": true"#, "");
    for vmi_networks in [None, Some(silent.as_str())] {
        let completion = run(&variables, Some(own), ONLY_A, vmi_networks, Assign::Multus);
        let Completion::Open { reason, .. } = completion else { panic!("{completion:?}") };
        let reason = reason.to_string();
        assert!(reason.contains("there are more devices than networks, and which others"), "{reason}");
        assert!(!reason.contains("--assign"), "{reason}");
    }
}

/// `p` is the interface of a binding plugin: KubeVirt lists it, and looks for no VF.
#[test]
fn a_network_of_another_binding_does_not_hold_up_the_others() {
    let vmi_networks = r#"{
        "a": {"nad": "ns/a", "resource": "intel.com/vf", "sriov": true},
        "p": {"nad": "ns/p"}
    }"#;
    let selections = r#"[
        {"name": "a", "namespace": "ns", "interface": "podca978112ca1"},
        {"name": "p", "namespace": "ns", "interface": "pod148de9c5a7a"}
    ]"#;
    let own = r#"{"interfaces":[{"network":"a"},{"network":"p"}]}"#;
    let completion = run(&apart()[..1], Some(own), selections, Some(vmi_networks), Assign::Refuse);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", ONE), {"network": "p"}]}));
}

/// Older pods number their interfaces. What the VMI's annotation says of NADs and resources is enough.
#[rstest]
#[case::resources_of_the_webhook(apart())]
#[case::resources_of_the_annotation(apart()[..2].to_vec())]
fn numbered_interfaces(#[case] variables: Vec<(String, String)>) {
    let selections = r#"[
        {"name": "b", "namespace": "ns", "interface": "net1"},
        {"name": "a", "namespace": "ns", "interface": "net2"}
    ]"#;
    let completion = run(&variables, None, selections, Some(TWO_NADS), Assign::Refuse);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", ONE), entry("b", TWO)]}));
    let variables = together("0000:01:10.2,0000:01:10.0");
    let completion = run(&variables, None, selections, Some(ONE_RESOURCE), Assign::Multus);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", TWO), entry("b", ONE)]}));
}

/// KubeVirt refuses a start for which its own text names no device, and so it should if Multus attached nothing.
#[rstest]
#[case::not_yet(
    "",
    None,
    "whether Multus has attached a, b is not known: network-status is empty or absent",
    false
)]
#[case::neither(
    r#"[{"name":"podnet","interface":"eth0","default":true}]"#,
    None,
    "Multus attached neither a nor b: network-status names eth0 only; ",
    true
)]
#[case::one(
    r#"[{"name":"ns/a","interface":"podca978112ca1"}]"#,
    Some(r#"{"interfaces":[{"network":"a"}]}"#),
    "Multus did not attach b: network-status names podca978112ca1 (ns/a) only; ",
    true
)]
fn nothing_is_filled_in_for_a_network_that_is_not_attached(
    #[case] network_status: &str,
    #[case] network_info: Option<&str>,
    #[case] start: &str,
    #[case] is_final: bool,
) {
    let variables = apart();
    for networks_annotation in [None, Some(SELECTIONS)] {
        for rule in [Assign::Refuse, Assign::Multus, Assign::InOrder] {
            let network_status = Some(network_status);
            let sources = PodTexts {
                variables: &variables,
                network_info,
                networks_annotation,
                network_status,
                claims: &[],
            };
            let Completion::Open { text, reason } = complete(&sources, Some(TWO_NADS), rule) else {
                panic!("{start}")
            };
            assert_eq!(text.as_deref(), network_info);
            assert!(reason.to_string().starts_with(start), "{reason}");
            assert_eq!(reason.is_final(), is_final);
        }
    }
}

/// A network of Multus whose device is claimed, as the VMI's annotation says.
#[test]
fn the_metadata_of_a_claim_says_what_kubevirt_does_not() {
    let networks =
        r#"{"a":{"nad":"ns/a","claim":{"kind":"resourceclaims","claim":"vfs","request":"a"},"sriov":true}}"#;
    let claims = [contract::ClaimMetadata {
        of: contract::ClaimRequest::new(contract::ClaimKind::Claim, "vfs", "a").unwrap(),
        file: "/metadata".to_owned(),
        content: contract::ClaimContent::Devices(vec![contract::ClaimDevice {
            name: "vf".to_owned(),
            pci_bus_id: Some(ONE.to_owned()),
        }]),
    }];
    let sources = PodTexts { claims: &claims, ..PodTexts::default() };
    let completion = complete(&sources, Some(networks), Assign::Refuse);
    assert_eq!(text(completion), json!({"interfaces": [entry("a", ONE)]}));
}
