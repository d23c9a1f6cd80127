use super::*;
use rstest::rstest;

const OURS: &str = "    <hostdev mode='subsystem' type='pci' managed='no'>
      <driver name='vfio'/>
      <source>
        <address domain='0x0000' bus='0x65' slot='0x02' function='0x1'/>
      </source>
      <alias name='ua-sriov-a'/>
      <address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
    </hostdev>
";

/// Checks that `after` is `before` with each `(old, new)` replaced once, and nothing else.
fn assert_only(before: &str, after: &str, replaced: &[(&str, &str)]) {
    let expected = replaced.iter().fold(before.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text.replacen(old, new, 1)
    });
    assert_eq!(after, expected);
}

#[test]
fn what_is_right_stays() {
    let text = domain(OURS);
    let document = Document::parse(&text).unwrap();
    let edited = document.converge(&[wanted("a", "0000:65:02.1")]).unwrap();
    assert!(matches!(edited, std::borrow::Cow::Borrowed(same) if std::ptr::eq(same, text.as_str())));
}

#[rstest]
#[case::decimal(("bus='0x65'", "bus='101'"))]
#[case::octal(("bus='0x65'", "bus='0145'"))]
#[case::capitals(("bus='0x65'", "bus='0X65'"))]
#[case::double_quotes(("bus='0x65'", "bus=\"0x65\""))]
#[case::reference(("bus='0x65'", "bus='0x6&#53;'"))]
#[case::alias_with_reference(("'ua-sriov-a'", "'ua-sriov-&#x61;'"))]
#[case::no_domain((" domain='0x0000' bus='0x65'", " bus='0x65'"))]
#[case::white_space(("bus='0x65'", "bus\n=\t'0x65'"))]
fn other_spellings_are_the_same(#[case] (old, new): (&str, &str)) {
    let text = domain(&OURS.replace(old, new));
    assert_eq!(converge(&text, &[wanted("a", "0000:65:02.1")]), Ok(text.clone()));
}

#[test]
fn an_address_is_corrected_field_by_field() {
    let text = domain(OURS);
    let edited = converge(&text, &[wanted("a", "0001:65:0a.1")]).unwrap();
    assert_only(
        &text,
        &edited,
        &[("domain='0x0000' bus='0x65' slot='0x02'", "domain='0x0001' bus='0x65' slot='0x0a'")],
    );
}

#[test]
fn a_field_that_is_not_there_is_added() {
    let text = domain(&OURS.replace("domain='0x0000' bus='0x65' ", "bus='0x65' "));
    let edited = converge(&text, &[wanted("a", "10000:65:02.1")]).unwrap();
    assert_only(&text, &edited, &[("function='0x1'/>", "function='0x1' domain=\"0x10000\"/>")]);
}

#[test]
fn boot_order_and_guest_address_come_from_the_vmi() {
    let text = domain(OURS);
    let mut hostdev = wanted("a", "0000:65:02.1");
    hostdev.boot_order = Some(3);
    hostdev.guest_address = Some("0000:07:01.0".parse().unwrap());
    let edited = converge(&text, &[hostdev.clone()]).unwrap();
    assert_only(
        &text,
        &edited,
        &[
            ("      </source>\n", "      </source>\n      <boot order=\"3\"/>\n"),
            ("bus='0x06' slot='0x00'", "bus='0x07' slot='0x01'"),
        ],
    );
    hostdev.boot_order = Some(4);
    let again = converge(&edited, &[hostdev]).unwrap();
    assert_only(&edited, &again, &[("order=\"3\"", "order=\"4\"")]);
}

#[test]
fn a_guest_address_of_another_kind_is_turned_into_one() {
    let text = domain(&OURS.replace("<address type='pci'", "<address type='unassigned'"));
    let mut hostdev = wanted("a", "0000:65:02.1");
    hostdev.guest_address = Some("0000:06:00.0".parse().unwrap());
    let edited = converge(&text, &[hostdev]).unwrap();
    assert_only(&text, &edited, &[("type='unassigned'", "type='pci'")]);
}

#[rstest]
#[case::none("      <alias name='ua-sriov-a'/>\n", "")]
#[case::libvirts_own("ua-sriov-a", "hostdev0")]
fn without_an_alias_of_a_person_the_address_finds_it(#[case] old: &str, #[case] new: &str) {
    let text = domain(&OURS.replace(old, new));
    let edited = converge(&text, &[wanted("a", "0000:65:02.1")]).unwrap();
    let views = hostdevs(&edited).unwrap();
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].alias.as_deref(), Some("ua-sriov-a"));
    assert_eq!(converge(&edited, &[wanted("a", "0000:65:02.1")]), Ok(edited.clone()));
}

/// Readers made with libvirt's Go module refuse a hostdev without it.
#[test]
fn a_mode_that_is_not_there_is_added() {
    let text = domain(&OURS.replace(" mode='subsystem'", ""));
    let edited = converge(&text, &[wanted("a", "0000:65:02.1")]).unwrap();
    assert_only(&text, &edited, &[("<hostdev type='pci'", "<hostdev mode=\"subsystem\" type='pci'")]);
    // One that is not ours stays as it is.
    assert_eq!(converge(&text, &[]), Ok(text.clone()));
}

#[test]
fn managed_by_libvirt_is_corrected() {
    // In the pod libvirt may not bind and unbind drivers.
    let text = domain(&OURS.replace("managed='no'", "managed='yes'"));
    let edited = converge(&text, &[wanted("a", "0000:65:02.1")]).unwrap();
    assert_only(&text, &edited, &[("managed='yes'", "managed='no'")]);
}

#[test]
fn two_that_were_swapped_are_swapped_back() {
    let other = OURS.replace("ua-sriov-a", "ua-sriov-b").replace("function='0x1'", "function='0x3'");
    let text = domain(&format!("{OURS}{}", other.replace("bus='0x06'", "bus='0x07'")));
    let edited = converge(&text, &[wanted("a", "0000:65:02.3"), wanted("b", "0000:65:02.1")]).unwrap();
    assert_only(
        &text,
        &edited,
        &[
            ("slot='0x02' function='0x1'", "slot='0x02' function='SWAP'"),
            ("slot='0x02' function='0x3'", "slot='0x02' function='0x1'"),
            ("slot='0x02' function='SWAP'", "slot='0x02' function='0x3'"),
        ],
    );
}

#[rstest]
#[case::self_closing("<domain><devices/></domain>", "<domain><devices>NEW</devices></domain>")]
#[case::empty("<domain><devices></devices></domain>", "<domain><devices>NEW</devices></domain>")]
#[case::behind_another(
    "<domain><devices><disk/></devices></domain>",
    "<domain><devices><disk/>NEW</devices></domain>"
)]
#[case::behind_the_last_hostdev(
    "<domain><devices><hostdev type='usb'/><disk/></devices></domain>",
    "<domain><devices><hostdev type='usb'/>NEW<disk/></devices></domain>"
)]
#[case::elsewhere_devices_do_not_count(
    "<domain><metadata><devices/></metadata><devices/></domain>",
    "<domain><metadata><devices/></metadata><devices>NEW</devices></domain>"
)]
#[case::foreign_devices_do_not_count(
    "<domain xmlns:q='u'><q:devices/><devices xmlns='u'/><devices/></domain>",
    "<domain xmlns:q='u'><q:devices/><devices xmlns='u'/><devices>NEW</devices></domain>"
)]
fn inserts_on_one_line(#[case] before: &str, #[case] after: &str) {
    let new = "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><source><address domain=\"0x0000\" bus=\"0x65\" \
               slot=\"0x02\" function=\"0x1\"/></source><alias name=\"ua-sriov-a\"/></hostdev>";
    let edited = converge(before, &[wanted("a", "0000:65:02.1")]).unwrap();
    assert_eq!(edited, after.replace("NEW", new));
}

#[rstest]
#[case::self_closing("<domain>\n  <devices/>\n</domain>")]
#[case::empty("<domain>\n  <devices></devices>\n</domain>")]
#[case::only_white_space("<domain>\n  <devices>\n  </devices>\n</domain>")]
#[case::behind_a_disk("<domain>\n  <devices>\n    <disk/>\n  </devices>\n</domain>")]
#[case::tabs("<domain>\n\t<devices>\n\t\t<disk/>\n\t</devices>\n</domain>")]
#[case::carriage_returns("<domain>\r\n  <devices>\r\n    <disk/>\r\n  </devices>\r\n</domain>")]
#[case::comment_last("<domain>\n  <devices>\n    <disk/>\n    <!-- x -->\n  </devices>\n</domain>")]
fn indentation_follows_the_neighbours(#[case] before: &str) {
    let edited = converge(before, &[wanted("a", "0000:65:02.1")]).unwrap();
    let (step, end) = if before.contains('\t') { ("\t", "\n") } else { ("  ", "\n") };
    let end = if before.contains('\r') { "\r\n" } else { end };
    let line = |depth: usize, text: &str| format!("{end}{}{text}", step.repeat(depth));
    let expected = [
        line(2, "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\">"),
        line(3, "<source>"),
        line(4, "<address domain=\"0x0000\" bus=\"0x65\" slot=\"0x02\" function=\"0x1\"/>"),
        line(3, "</source>"),
        line(3, "<alias name=\"ua-sriov-a\"/>"),
        line(2, "</hostdev>"),
    ]
    .concat();
    assert!(edited.contains(&expected), "{edited}");
    assert!(edited.ends_with(&format!("{}{end}</domain>", line(1, "</devices>"))), "{edited}");
}

const FOREIGN_GPU: &str = "    <hostdev mode='subsystem' type='pci' managed='no'>
      <source><address domain='0' bus='0x65' slot='2' function='1'/></source>
      <alias name='ua-gpu-g'/>
    </hostdev>
";
const FOREIGN_INTERFACE: &str = "    <interface type='hostdev'>
      <source><address type='pci' domain='0' bus='0x65' slot='2' function='1'/></source>
    </interface>
";
const GONE_NETWORK: &str = "    <hostdev type='pci'>
      <source><address domain='0' bus='0x65' slot='2' function='1'/></source>
      <alias name='ua-sriov-gone'/>
    </hostdev>
";

#[rstest]
#[case::gpu(FOREIGN_GPU, "ua-gpu-g")]
#[case::interface(FOREIGN_INTERFACE, "interface without alias")]
#[case::network_that_is_gone(GONE_NETWORK, "ua-sriov-gone")]
fn a_function_that_another_device_uses(#[case] devices: &str, #[case] holder: &str) {
    let text = domain(devices);
    assert_eq!(
        converge(&text, &[wanted("a", "0000:65:02.1")]),
        Err(DomainError::SharedDevice {
            address: "0000:65:02.1".parse().unwrap(),
            first: holder.to_owned(),
            second: "ua-sriov-a".to_owned()
        })
    );
    // Another function does not touch it.
    let edited = converge(&text, &[wanted("a", "0000:65:02.2")]).unwrap();
    assert!(edited.contains(devices));
    assert_eq!(hostdevs(&edited).unwrap().last().unwrap().network.as_deref(), Some("a"));
}

#[test]
fn devices_of_other_kinds_are_left_alone() {
    let devices =
        "    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='300'/></source></hostdev>
    <hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='x'/></source></hostdev>
    <hostdev mode='capabilities' type='storage'><source><block>/dev/sdf</block></source></hostdev>
";
    let text = domain(devices);
    assert_eq!(converge(&text, &[]), Ok(text.clone()));
    assert_eq!(hostdevs(&text), Ok(Vec::new()));
    assert!(converge(&text, &[wanted("a", "0000:65:02.1")]).unwrap().contains(devices.trim_end()));
}

#[rstest]
#[case::two_on_one_function(&format!("{OURS}{}", OURS.replace("sriov-a", "sriov-b")), "is used twice")]
#[case::one_alias_twice(&format!("{OURS}{}", OURS.replace("'0x65'", "'0x66'")), "two hostdevs have the alias")]
#[case::ours_without_source(
    "<hostdev type='pci'><alias name='ua-sriov-a'/></hostdev>",
    "has no PCI source address"
)]
#[case::ours_of_another_kind(
    "<hostdev type='usb'><source><address bus='1' device='2'/></source><alias name='ua-sriov-a'/></hostdev>",
    "has no PCI source address"
)]
#[case::two_sources("<hostdev type='pci'><source/><source/></hostdev>", "a second <source>")]
#[case::slot_over_31(&OURS.replace("slot='0x02'", "slot='0x20'"), "\"0x20\" is not a PCI slot")]
#[case::no_number(&OURS.replace("'0x65'", "'zz'"), "\"zz\" is not a PCI bus")]
#[case::guest_address_no_number(&OURS.replace("'0x06'", "'zz'"), "\"zz\" is not a PCI bus")]
#[case::two_devices("</devices><devices>", "a second <devices>")]
fn refuses(#[case] devices: &str, #[case] message: &str) {
    let error = converge(&domain(devices), &[]).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn nowhere_to_put_it() {
    assert_eq!(converge("<domain/>", &[wanted("a", "0000:65:02.1")]), Err(DomainError::NoDevices));
}

#[test]
fn two_wanted_on_one_function() {
    let error =
        converge(&domain(""), &[wanted("a", "0000:65:02.1"), wanted("b", "0000:65:02.1")]).unwrap_err();
    assert!(matches!(error, DomainError::SharedDevice { .. }));
}
