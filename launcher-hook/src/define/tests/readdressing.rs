use super::*;

/// Network-info of a host on which the two networks have other devices.
fn elsewhere() -> String {
    NETWORK_INFO.replace("0000:65:02.1", "0000:b1:00.4").replace("0000:65:02.3", "0000:b1:00.2")
}

#[test]
fn addresses_of_this_host_replace_the_others() {
    let info = elsewhere();
    let sources = PodTexts { network_info: Some(&info), ..PodTexts::default() };
    let expected = READ_BACK
        .replace("bus=\"0x65\" slot=\"0x02\" function=\"0x1\"", "bus=\"0xb1\" slot=\"0x00\" function=\"0x4\"")
        .replace(
            "bus=\"0x65\" slot=\"0x02\" function=\"0x3\"",
            "bus=\"0xb1\" slot=\"0x00\" function=\"0x2\"",
        );
    for vmi in [None, Some(VMI)] {
        let definition = readdress(vmi, READ_BACK, &sources, &Options::default()).unwrap();
        assert_eq!(definition.xml, expected);
        assert_eq!(devices(&definition), both("0000:b1:00.4", "0000:b1:00.2", Origin::NetworkInfo));
    }
}

#[test]
fn nothing_to_readdress() {
    let definition = readdress(None, BARE, &PodTexts::default(), &Options::default()).unwrap();
    assert!(matches!(definition.xml, Cow::Borrowed(same) if same == BARE));
    assert_eq!(definition.warnings, [""; 0]);
}

#[test]
fn without_data_the_addresses_of_another_host_are_not_trusted() {
    let error = readdress(None, READ_BACK, &PodTexts::default(), &Options::default()).unwrap_err();
    assert_eq!(
        error,
        DefineError::Plan(PlanError::Missing {
            missing: vec![Missing {
                networks: vec!["sriov-net1".to_owned(), "sriov-net2".to_owned()],
                lack: Lack::Data,
            }],
            known: Vec::new(),
        })
    );
}

#[test]
fn the_variables_alone_are_ambiguous_without_the_selections() {
    let variables = variables(NODE);
    let mut sources = PodTexts { variables: &variables, ..PodTexts::default() };
    for assign in [Assign::Refuse, Assign::Multus] {
        let error = readdress(None, READ_BACK, &sources, &rule(assign)).unwrap_err();
        assert!(matches!(error, DefineError::Plan(PlanError::Ambiguous { .. })), "{error}");
    }
    sources.networks_annotation = Some(NODE_ANNOTATION);
    let definition = readdress(None, READ_BACK, &sources, &rule(Assign::Multus)).unwrap();
    assert_eq!(devices(&definition), both("0000:01:10.0", "0000:01:10.2", Origin::Multus));
}

#[test]
fn a_guest_address_and_a_boot_order_stay() {
    let info = elsewhere();
    let sources = PodTexts { network_info: Some(&info), ..PodTexts::default() };
    let guests = |xml: &str| hostdevs(xml).unwrap().iter().map(|view| view.guest).collect::<Vec<_>>();
    let definition = readdress(None, READ_BACK, &sources, &Options::default()).unwrap();
    assert_eq!(guests(&definition.xml), guests(READ_BACK));
    assert!(definition.xml.contains("<boot order=\"2\">"));
}

/// A libvirt of one's own may detach the VF from the host itself.
#[test]
fn who_manages_the_device_stays() {
    let info = elsewhere();
    let sources = PodTexts { network_info: Some(&info), ..PodTexts::default() };
    let managed = |xml: &str| xml.replace("managed=\"no\"", "managed=\"yes\"");
    let plain = readdress(None, READ_BACK, &sources, &Options::default()).unwrap();
    let domain = managed(READ_BACK);
    assert_ne!(domain, READ_BACK);
    let definition = readdress(None, &domain, &sources, &Options::default()).unwrap();
    assert_eq!(definition.xml, managed(&plain.xml));
}

/// The hook has no VMI: what the webhook says of NADs tells nothing about the one network, and need not.
#[rstest]
#[case::alone(None)]
#[case::with_a_selection_of_an_older_pod(Some(r#"[{"name":"b","namespace":"default","interface":"net1"}]"#))]
fn one_network_and_one_device(#[case] networks_annotation: Option<&str>) {
    let domain = READ_BACK.replace("ua-sriov-sriov-net1", "ua-gpu-one");
    let variables = variables(
        "PCIDEVICE_INTEL_COM_VF=0000:b1:00.4\nSRIOV_NETWORK_RESOURCES={\"default/b\":\"intel.com/vf\"}",
    );
    let sources = PodTexts { variables: &variables, networks_annotation, ..PodTexts::default() };
    let definition = readdress(None, &domain, &sources, &Options::default()).unwrap();
    let expected = ("sriov-net2".to_owned(), "0000:b1:00.4".to_owned(), Origin::Variables);
    assert_eq!(devices(&definition), [expected]);
}

/// KubeVirt calls a domain NAMESPACE_NAME, and a NAD without a namespace is in that one.
#[rstest]
#[case::kubevirts("<name>prod_vmi-sriov</name>", true)]
#[case::with_white_space("<name>\n  prod_vmi-sriov\n</name>", true)]
#[case::of_another_namespace("<name>test_vmi-sriov</name>", false)]
#[case::without_a_namespace("<name>vmi-sriov</name>", false)]
#[case::of_a_namespace_that_is_none("<name>../x_vmi-sriov</name>", false)]
#[case::none("", false)]
fn the_namespace_is_that_of_the_domain(#[case] name: &str, #[case] found: bool) {
    let domain = READ_BACK.replace("<name>default_vmi-sriov</name>", name);
    assert_ne!(domain, READ_BACK);
    let variables = variables(
        "PCIDEVICE_INTEL_COM_A=0000:b1:00.4\nPCIDEVICE_INTEL_COM_B=0000:b1:00.6\n\
         SRIOV_NETWORK_RESOURCES={\"prod/a\":\"intel.com/a\",\"prod/b\":\"intel.com/b\"}",
    );
    let networks_annotation = Some("a@pode4620dba916,b@pod9b6a4757d26");
    let sources = PodTexts { variables: &variables, networks_annotation, ..PodTexts::default() };
    let definition = readdress(None, &domain, &sources, &Options::default());
    assert_eq!(definition.is_ok(), found, "{definition:?}");
}

/// The one device is another network's, whose interface bears a name of KubeVirt's.
#[test]
fn one_network_and_the_device_of_another() {
    let domain = READ_BACK.replace("ua-sriov-sriov-net1", "ua-gpu-one");
    let variables = variables(
        "PCIDEVICE_INTEL_COM_VF=0000:b1:00.4\nSRIOV_NETWORK_RESOURCES={\"default/b\":\"intel.com/vf\"}",
    );
    let networks_annotation = Some(r#"[{"name":"b","namespace":"default","interface":"pod3e23e816003"}]"#);
    let sources = PodTexts { variables: &variables, networks_annotation, ..PodTexts::default() };
    let error = readdress(None, &domain, &sources, &Options::default()).unwrap_err();
    assert!(matches!(error, DefineError::Plan(PlanError::Ambiguous { .. })), "{error}");
}
