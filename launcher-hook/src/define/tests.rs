use super::*;
use crate::domain::hostdevs;
use rstest::rstest;

mod kubevirt;
mod readdressing;

const VMI: &str = include_str!("../../tests/fixtures/vmi.json");
const BARE: &str = include_str!("../../tests/fixtures/domain.no-hostdev.xml");
const WRITTEN: &str = include_str!("../../tests/fixtures/domain.xml");
const READ_BACK: &str = include_str!("../../tests/fixtures/domain.readback.xml");
const NETWORK_INFO: &str = include_str!("../../tests/fixtures/network-info.json");
const COMPUTE: &str = include_str!("../../tests/fixtures/compute.env");
const NODE: &str = include_str!("../../tests/fixtures/node/compute.env");
const NODE_STATUS: &str = include_str!("../../tests/fixtures/node/network-status.json");
const NODE_ANNOTATION: &str = include_str!("../../tests/fixtures/node/networks-annotation.json");

fn variables(lines: &str) -> Vec<(String, String)> {
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn devices(definition: &Definition<'_>) -> Vec<(String, String, Origin)> {
    let devices = definition.devices.iter();
    devices.map(|device| (device.network.clone(), device.address.to_string(), device.origin)).collect()
}

fn both(first: &str, second: &str, origin: Origin) -> Vec<(String, String, Origin)> {
    vec![
        ("sriov-net1".to_owned(), first.to_owned(), origin),
        ("sriov-net2".to_owned(), second.to_owned(), origin),
    ]
}

fn rule(assign: Assign) -> Options {
    Options { assign, ..Options::default() }
}

/// The one run of lines that `after` has more than `before`.
fn inserted(before: &str, after: &str) -> String {
    let same = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
    let start = before[..same].rfind('\n').unwrap() + 1;
    let end = after.len() - (before.len() - start);
    assert_eq!(after[end..], before[start..]);
    after[start..end].to_owned()
}

#[test]
fn network_info_against_the_order_of_the_variable() {
    let variables = variables(COMPUTE);
    let sources = PodTexts { variables: &variables, network_info: Some(NETWORK_INFO), ..PodTexts::default() };
    let definition = define(VMI, BARE, &sources, &Options::default()).unwrap();

    assert_eq!(devices(&definition), both("0000:65:02.1", "0000:65:02.3", Origin::NetworkInfo));
    assert_eq!(definition.warnings, [""; 0]);
    insta::assert_snapshot!(inserted(BARE, &definition.xml));
}

#[test]
fn without_network_info_a_refusal_names_networks_and_addresses() {
    let variables = variables(COMPUTE);
    let sources = PodTexts { variables: &variables, network_info: Some(""), ..PodTexts::default() };
    let error = define(VMI, BARE, &sources, &Options::default()).unwrap_err();
    insta::assert_snapshot!(error);
}

/// What Multus really did on that node is in its network-status; the order of the variable is the wrong one.
#[rstest]
#[case::order_of_the_vmi(None)]
#[case::order_of_the_annotation(Some(NODE_ANNOTATION))]
fn assigns_as_multus_did_on_a_node(#[case] networks_annotation: Option<&str>) {
    let variables = variables(NODE);
    let sources = PodTexts { variables: &variables, networks_annotation, ..PodTexts::default() };
    let definition = define(VMI, BARE, &sources, &rule(Assign::Multus)).unwrap();
    assert_eq!(devices(&definition), both("0000:01:10.0", "0000:01:10.2", Origin::Multus));

    let status = PodTexts { network_status: Some(NODE_STATUS), ..PodTexts::default() };
    // Both networks are of one NAD there.
    let vmi = VMI.replace("net-admin/sriov-net-b", "sriov-net-a");
    let reported = define(&vmi, BARE, &status, &Options::default()).unwrap();
    assert_eq!(devices(&reported), both("0000:01:10.0", "0000:01:10.2", Origin::NetworkStatus));
    assert_eq!(reported.xml, definition.xml);

    let in_order = define(VMI, BARE, &sources, &rule(Assign::InOrder)).unwrap();
    assert_eq!(devices(&in_order), both("0000:01:10.2", "0000:01:10.0", Origin::InOrder));
    assert_eq!(in_order.warnings.len(), 1);
}

#[rstest]
#[case::network_info(Some(NETWORK_INFO))]
#[case::without_network_info(None)]
fn a_domain_that_is_right_comes_back_as_it_is(#[case] network_info: Option<&str>) {
    let variables = variables(COMPUTE);
    let sources = PodTexts { variables: &variables, network_info, ..PodTexts::default() };
    let definition = define(VMI, READ_BACK, &sources, &Options::default()).unwrap();
    assert!(matches!(definition.xml, Cow::Borrowed(same) if same == READ_BACK));
    // KubeVirt itself writes no mode.
    let written = define(VMI, WRITTEN, &sources, &Options::default()).unwrap();
    assert_eq!(written.xml, WRITTEN.replace("<hostdev type", "<hostdev mode=\"subsystem\" type"));
    assert_eq!(written.devices, definition.devices);
    let origin = if network_info.is_some() { Origin::NetworkInfo } else { Origin::Alias };
    assert_eq!(devices(&definition), both("0000:65:02.1", "0000:65:02.3", origin));
}

/// What libvirt and KubeVirt make of a domain between two calls: `mode` and guest addresses come, the source's
/// `type` goes, elements are written with end tags.
fn read_back(domain: &str) -> String {
    let domain = domain
        .replace(
            "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\">",
            "<hostdev type=\"pci\" managed=\"no\" mode=\"subsystem\">",
        )
        .replace(
            "<address type=\"pci\" domain=\"0x0000\" bus=\"0x65\"",
            "<address domain=\"0x0000\" bus=\"0x65\"",
        )
        .replace(
            "\n\t\t\t<alias name=\"ua-sriov-sriov-net1\"/>",
            "\n\t\t\t<address type=\"pci\" domain=\"0x0000\" bus=\"0x06\" slot=\"0x00\" function=\"0x0\"/>\
             \n\t\t\t<alias name=\"ua-sriov-sriov-net1\"/>",
        );
    ["address", "alias", "boot"].iter().fold(domain, |text, name| {
        let parts: Vec<_> = text.split(&format!("<{name} ")).collect();
        let closed = parts.iter().skip(1).map(|part| part.replacen("/>", &format!("></{name}>"), 1));
        std::iter::once(parts[0].to_owned()).chain(closed).collect::<Vec<_>>().join(&format!("<{name} "))
    })
}

#[rstest]
#[case::network_info(Some(NETWORK_INFO), Assign::Refuse)]
#[case::multus(None, Assign::Multus)]
fn three_calls_are_stable_from_the_first(#[case] network_info: Option<&str>, #[case] assign: Assign) {
    let variables = variables(COMPUTE);
    let sources = PodTexts { variables: &variables, network_info, ..PodTexts::default() };
    let first = define(VMI, BARE, &sources, &rule(assign)).unwrap();
    let second_input = read_back(&first.xml);
    assert_ne!(second_input, first.xml);
    let second = define(VMI, &second_input, &sources, &rule(assign)).unwrap();
    assert!(matches!(second.xml, Cow::Borrowed(_)));
    let third_input = read_back(&second.xml);
    let third = define(VMI, &third_input, &sources, &rule(assign)).unwrap();
    assert!(matches!(third.xml, Cow::Borrowed(_)));
    let addresses = |xml: &str| hostdevs(xml).unwrap().iter().map(|view| view.source).collect::<Vec<_>>();
    assert_eq!(addresses(&first.xml), addresses(&third.xml));
}

#[test]
fn network_info_corrects_what_the_domain_says() {
    let swapped = NETWORK_INFO.replace("02.1", "02.9").replace("02.3", "02.1").replace("02.9", "02.3");
    let sources = PodTexts { network_info: Some(&swapped), ..PodTexts::default() };
    let definition = define(VMI, READ_BACK, &sources, &Options::default()).unwrap();
    assert_eq!(devices(&definition), both("0000:65:02.3", "0000:65:02.1", Origin::NetworkInfo));
    assert_eq!(definition.xml.len(), READ_BACK.len());
    assert_eq!(hostdevs(&definition.xml).unwrap()[0].source.to_string(), "0000:65:02.3");
}

#[test]
fn a_migration_target_without_data_is_a_success() {
    let options = Options { migration: true, ..Options::default() };
    let definition = define(VMI, BARE, &PodTexts::default(), &options).unwrap();
    assert!(matches!(definition.xml, Cow::Borrowed(same) if same == BARE));
    assert_eq!(definition.devices, []);
    assert_eq!(definition.warnings.len(), 1);
    let start =
        "the domain stays unchanged during the migration: no device for network sriov-net1, sriov-net2: ";
    assert!(definition.warnings[0].starts_with(start), "{:?}", definition.warnings);
}

#[rstest]
#[case::said_by_the_caller(VMI.to_owned(), true)]
#[case::seen_in_the_vmi(VMI.replace("\"status\": {", "\"status\": {\"migrationState\": {},"), false)]
fn a_migration_target_with_half_the_data_is_one_too(#[case] vmi: String, #[case] migration: bool) {
    let variables = variables(COMPUTE);
    let sources = PodTexts { variables: &variables, ..PodTexts::default() };
    let options = Options { migration, ..Options::default() };
    let definition = define(&vmi, BARE, &sources, &options).unwrap();
    assert!(matches!(definition.xml, Cow::Borrowed(same) if same == BARE));
    assert_eq!(definition.warnings.len(), 1);
}

#[test]
fn an_alias_of_a_network_that_is_gone_is_left_alone() {
    let domain = READ_BACK.replace("ua-sriov-sriov-net2", "ua-sriov-gone");
    let vmi = VMI.replace(
        "\"name\": \"sriov-net2\",\n            \"sriov\"",
        "\"name\": \"sriov-net2\",\n            \"bridge\"",
    );
    let definition = define(&vmi, &domain, &PodTexts::default(), &Options::default()).unwrap();
    assert!(matches!(definition.xml, Cow::Borrowed(_)));
    insta::assert_snapshot!(definition.warnings.join("\n"), @"hostdev ua-sriov-gone belongs to no network of the VMI that needs a VF: left unchanged");
}

#[test]
fn a_device_of_another_pod_is_a_warning() {
    let variables = variables(NODE);
    let sources = PodTexts { variables: &variables, network_info: Some(NETWORK_INFO), ..PodTexts::default() };
    let definition = define(VMI, BARE, &sources, &Options::default()).unwrap();
    assert_eq!(definition.warnings.len(), 2);
}

/// Sources that cannot be read, one each.
fn broken(source: &str) -> (Vec<(String, String)>, PodTexts<'static>) {
    let variables = match source {
        "variables" => variables("SRIOV_NETWORK_RESOURCES=[]"),
        _ => Vec::new(),
    };
    let network_info = (source == "network-info").then_some("{");
    let network_status = (source == "network-status").then_some("{");
    (variables, PodTexts { network_info, network_status, ..PodTexts::default() })
}

#[rstest]
#[case::variables("variables")]
#[case::network_info("network-info")]
#[case::network_status("network-status")]
fn broken_sources_do_not_stop_a_machine_without_vf(#[case] source: &str) {
    let (variables, sources) = broken(source);
    let sources = PodTexts { variables: &variables, ..sources };
    let vmi = VMI.replace("\"sriov\"", "\"bridge\"");
    let options = Options::default();
    for definition in [define(&vmi, BARE, &sources, &options), readdress(None, BARE, &sources, &options)] {
        assert!(matches!(definition.unwrap().xml, Cow::Borrowed(same) if same == BARE));
    }
    define(VMI, BARE, &sources, &options).unwrap_err();
    readdress(None, READ_BACK, &sources, &options).unwrap_err();
}

/// The pool on the target's node is one of auxiliary devices: KubeVirt's answer to that comes after the migration.
#[test]
fn a_migration_target_with_devices_of_another_kind_is_one_too() {
    let variables = variables("PCIDEVICE_INTEL_COM_SRIOV_VFIO=mlx5_core.sf.4,mlx5_core.sf.5");
    let sources = PodTexts { variables: &variables, ..PodTexts::default() };
    let options = Options { migration: true, ..Options::default() };
    let definition = define(VMI, BARE, &sources, &options).unwrap();
    assert!(matches!(definition.xml, Cow::Borrowed(same) if same == BARE));
    assert_eq!(definition.warnings.len(), 1);
    define(VMI, BARE, &sources, &Options::default()).unwrap_err();
}
