use super::*;
use rstest::rstest;

fn read(variables: &[(&str, &str)]) -> Result<Devices, DevicesError> {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Devices::read(&PodTexts { variables: &variables, ..PodTexts::default() })
}

fn ids<'a>(devices: &'a Devices, variable: &str) -> Vec<&'a str> {
    devices.pool(variable).iter().map(|device| device.id.as_str()).collect()
}

#[rstest]
#[case::order_is_kept("0000:65:02.3,0000:65:02.1", &["0000:65:02.3", "0000:65:02.1"])]
#[case::spaces_and_commas(" 0000:65:02.3 ,, 0000:65:02.1, ", &["0000:65:02.3", "0000:65:02.1"])]
#[case::twice("0000:65:02.3,0000:65:02.3", &["0000:65:02.3"])]
#[case::auxiliary("mlx5_core.sf.4", &["mlx5_core.sf.4"])]
#[case::empty("", &[])]
fn values(#[case] value: &str, #[case] expected: &[&str]) {
    let devices = read(&[("PCIDEVICE_A_B", value)]).unwrap();
    assert_eq!(ids(&devices, "PCIDEVICE_A_B"), expected);
    assert_eq!(devices.pools().len(), usize::from(!expected.is_empty()));
}

#[test]
fn information_is_not_devices_but_a_resource_may_be_called_so() {
    let devices = read(&[
        ("PCIDEVICE_A_B_INFO", r#"{"0000:65:02.1":{"generic":{"deviceID":"0000:65:02.1"}}}"#),
        ("PCIDEVICE_A_C_INFO", "0000:65:02.2"),
        ("OTHER", "0000:65:02.3"),
    ])
    .unwrap();
    assert_eq!(devices.pools().keys().collect::<Vec<_>>(), ["PCIDEVICE_A_C_INFO"]);
    assert_eq!(devices.addresses(), ["0000:65:02.2".parse().unwrap()]);
}

#[test]
fn the_first_of_a_name_counts() {
    let devices = read(&[("PCIDEVICE_A_B", "0000:65:02.1"), ("PCIDEVICE_A_B", "0000:65:02.2")]).unwrap();
    assert_eq!(ids(&devices, "PCIDEVICE_A_B"), ["0000:65:02.1"]);
}

#[test]
fn resources_of_networks() {
    let devices = read(&[
        ("SRIOV_NETWORK_RESOURCES", r#"{"default/a":"intel.com/x"}"#),
        ("KUBEVIRT_RESOURCE_NAME_net-B_1", "intel.com/y"),
    ])
    .unwrap();
    let nad: NadName = "default/a".parse().unwrap();
    let resource = |network, nad| devices.resource(network, nad).map(ResourceName::as_str);
    assert!(devices.resources_are_known());
    assert_eq!(resource(Some("other"), Some(&nad)), Some("intel.com/x"));
    assert_eq!(resource(Some("net-B_1"), Some(&nad)), Some("intel.com/y"));
    assert_eq!(resource(Some("other"), None), None);
    assert!(!read(&[]).unwrap().resources_are_known());
}

#[rstest]
#[case::resources("SRIOV_NETWORK_RESOURCES", "[]", "SRIOV_NETWORK_RESOURCES: ")]
#[case::resource("KUBEVIRT_RESOURCE_NAME_a", "x", "variable KUBEVIRT_RESOURCE_NAME_a is not a resource name")]
fn refuses_variables(#[case] name: &str, #[case] value: &str, #[case] message: &str) {
    let error = read(&[(name, value)]).unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
}

#[rstest]
#[case::broken_info(Some("{"), None, "network-info cannot be read: ")]
#[case::info_without_address(
    Some(r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"x"}}}]}"#),
    None,
    "network-info cannot be read: \"x\" is not a PCI address"
)]
#[case::broken_status(None, Some("{"), "network-status cannot be read: ")]
fn refuses_reports(#[case] info: Option<&str>, #[case] status: Option<&str>, #[case] message: &str) {
    let sources = PodTexts { network_info: info, network_status: status, ..PodTexts::default() };
    let error = Devices::read(&sources).unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
}

#[test]
fn reports() {
    let info = r#"{"interfaces":[
        {"network":"a","deviceInfo":{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:65:02.1"}}},
        {"network":"b","deviceInfo":{"type":"vdpa","vdpa":{"path":"/dev/vhost-vdpa-0"}}},
        {"network":"c","mac":"02:00:00:00:00:01"}]}"#;
    let sources = PodTexts { network_info: Some(info), network_status: Some("\n"), ..PodTexts::default() };
    let devices = Devices::read(&sources).unwrap();
    let pci = Reported::Pci("0000:65:02.1".parse().unwrap());
    assert_eq!(devices.network_info("a"), Some(&pci));
    assert_eq!(devices.network_info("b"), Some(&Reported::Other("vdpa".to_owned())));
    assert_eq!(devices.network_info("c"), None);
}
