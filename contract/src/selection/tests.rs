use super::*;
use proptest::prelude::*;
use rstest::rstest;

const NODE: &str = r#"[{"name":"sriov-net-a","namespace":"default","mac":"de:ad:00:00:be:01","interface":"pod9b6a4757d26"},{"name":"sriov-net-a","namespace":"default","mac":"de:ad:00:00:be:02","interface":"pode4620dba916"}]"#;

/// `namespace/name`, interface and MAC of each selection, as one line.
fn show(networks: &[NetworkSelection]) -> String {
    let one = |network: &NetworkSelection| {
        let mut text = network.nad.to_string();
        if let Some(interface) = &network.interface {
            text += &format!("@{interface}");
        }
        if let Some(mac) = network.mac {
            text += &format!(" {mac}");
        }
        if let Some(device_id) = &network.device_id {
            text += &format!(" on {device_id}");
        }
        text
    };
    networks.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[rstest]
#[case::empty("", "")]
#[case::bare("net", "ns/net")]
#[case::namespace("other/net", "other/net")]
#[case::interface("net@eth1", "ns/net@eth1")]
#[case::all_parts_and_spaces(" other / net @ eth1 ,net2", "other/net@eth1, ns/net2")]
#[case::same_twice("net,net", "ns/net, ns/net")]
#[case::empty_namespace("/net", "ns/net")]
#[case::empty_interface("net@", "ns/net")]
#[case::interface_with_capitals("net@Vlan_1.2", "ns/net@Vlan_1.2")]
#[case::null_is_a_name("null", "ns/null")]
fn comma_form(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(show(&parse_networks(text, "ns").unwrap()), expected);
}

#[rstest]
#[case::kubevirt(
    NODE,
    "default/sriov-net-a@pod9b6a4757d26 de:ad:00:00:be:01, default/sriov-net-a@pode4620dba916 de:ad:00:00:be:02"
)]
#[case::empty_list("[]", "")]
#[case::name_with_dots(r#"[{"name":"net.example.com"}]"#, "ns/net.example.com")]
#[case::unknown_keys(r#"[{"name":"net","future":{"a":[1]},"bandwidth":{"ingressRate":1}}]"#, "ns/net")]
#[case::keys_in_any_case(r#"[{"NAME":"net","Namespace":"other"}]"#, "other/net")]
// Go takes U+017F for an s.
#[case::keys_in_letters_that_go_folds(r#"[{"name":"net","nameſpace":"other"}]"#, "other/net")]
#[case::last_key_wins(r#"[{"name":"a","name":"b"}]"#, "ns/b")]
#[case::null_values(r#"[{"name":"net","namespace":null,"mac":null,"ips":null,"cni-args":null}]"#, "ns/net")]
#[case::empty_values(r#"[{"name":"net","namespace":"","mac":"","interface":""}]"#, "ns/net")]
#[case::old_interface_key(r#"[{"name":"net","interfaceRequest":"net7"}]"#, "ns/net@net7")]
#[case::escapes(r#"[{"name":"n\u0065t"}]"#, "ns/net")]
#[case::device_id(r#"[{"name":"net","deviceID":"0000:65:02.1"}]"#, "ns/net on 0000:65:02.1")]
#[case::addresses(
    r#"[{"name":"net","ips":["10.0.0.1","fd00::1/64"],"default-route":["10.0.0.254"]}]"#,
    "ns/net"
)]
#[case::guid(r#"[{"name":"net","infiniband-guid":"02:00:5e:10:00:00:00:01"}]"#, "ns/net")]
#[case::white_space("\n[ {\"name\" : \"net\"} ]\n", "ns/net")]
fn json_form(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(show(&parse_networks(text, "ns").unwrap()), expected);
}

#[rstest]
#[case::parent_directory("../secrets", r#"element 1: namespace ".." has the character '.'"#)]
#[case::comma_path("ns/../x", r#"element 1: "ns/../x" has more than one '/'"#)]
#[case::two_interfaces("a@b@c", r#"element 1: "a@b@c" has more than one '@'"#)]
#[case::empty_element("net,,net2", r#"element 2: "" names no NetworkAttachmentDefinition"#)]
#[case::white_space_only(" ", r#"element 1: "" names no NetworkAttachmentDefinition"#)]
#[case::no_name("ns/", r#"element 1: "ns/" names no NetworkAttachmentDefinition"#)]
#[case::dots("net.example.com", r#"element 1: NAD name "net.example.com" has the character '.'"#)]
#[case::capital("Net", r#"element 1: NAD name "Net" has the character 'N'"#)]
#[case::long_interface(
    "net@abcdefghijklmnop",
    r#"element 1: interface "abcdefghijklmnop" is not an interface name"#
)]
#[case::space_in_interface("net@a b", r#"element 1: interface "a b" is not an interface name"#)]
#[case::too_many(&vec!["net"; 257].join(","), "it names 257 networks, and 256 is the most")]
#[case::too_many_in_json(&format!("[{}]", vec!["7"; 300].join(",")), "it names 300 networks, and 256 is the most")]
#[case::object(r#"{"name":"net"}"#, "it is not a JSON list (invalid type: map")]
#[case::string(r#""net""#, "it is not a JSON list (invalid type: string")]
#[case::never_falls_back("[net]", "it is not a JSON list (expected")]
#[case::truncated(r#"[{"name":"net""#, "it is not a JSON list (EOF")]
#[case::trailing(r#"[{"name":"net"}] x"#, "it is not a JSON list (trailing characters")]
#[case::null_element("[null]", r#"element 1: "null" is not a network selection (invalid type: null"#)]
#[case::text_element(r#"["net"]"#, r#"element 1: '"net"' is not a network selection (invalid type: string"#)]
#[case::number_as_name(r#"[{"name":7}]"#, "element 1: ")]
#[case::no_json_name(r#"[{"name":"a"},{"namespace":"ns"}]"#, "element 2: ")]
#[case::json_path(r#"[{"name":"../../x"}]"#, r#"element 1: NAD name "../../x" has the character '/'"#)]
#[case::json_name_with_namespace(
    r#"[{"name":"a"},{"name":"other/net"}]"#,
    r#"element 2: NAD name "other/net" has the character '/': write {"name":"net","namespace":"other"} (the JSON form has the namespace in a key of its own)"#
)]
#[case::json_namespace_path(
    r#"[{"name":"a","namespace":"../x"}]"#,
    r#"element 1: namespace "../x" has the character '.'"#
)]
#[case::bad_mac(r#"[{"name":"a","mac":"de:ad"}]"#, r#"element 1: mac: "de:ad" is not a MAC address"#)]
#[case::bad_guid(
    r#"[{"name":"a","infiniband-guid":"x"}]"#,
    r#"element 1: infiniband-guid: "x" is not a MAC address"#
)]
#[case::bad_ip(
    r#"[{"name":"a","ips":["10.0.0.256"]}]"#,
    r#"element 1: ips: "10.0.0.256" is not an IP address"#
)]
#[case::bad_prefix(
    r#"[{"name":"a","ips":["10.0.0.1/33"]}]"#,
    r#"element 1: ips: "10.0.0.1/33" is not an IP address"#
)]
#[case::null_ip(r#"[{"name":"a","ips":[null]}]"#, r#"element 1: ips: "" is not an IP address"#)]
#[case::prefix_as_route(r#"[{"name":"a","default-route":["10.0.0.0/8"]}]"#, "element 1: default-route: ")]
#[case::port_mappings(r#"[{"name":"a","portMappings":{}}]"#, "element 1: ")]
#[case::bandwidth(r#"[{"name":"a","bandwidth":7}]"#, "element 1: ")]
fn refuses(#[case] text: &str, #[case] start: &str) {
    let message = parse_networks(text, "ns").map(|networks| show(&networks)).unwrap_err().to_string();
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn a_long_name_is_refused_and_not_repeated_whole() {
    let text = format!(r#"[{{"name":"{}"}}]"#, "a".repeat(100_000));
    let message = parse_networks(&text, "ns").unwrap_err().to_string();
    assert!(message.contains("is 100000 characters long, at most 253 are allowed"), "{message}");
    assert!(message.len() < 300, "{message}");
}

#[rstest]
#[case::own_namespace("net", Ok("kube-system/net"))]
#[case::given_namespace("default/net", Ok("default/net"))]
#[case::json(r#"[{"name":"net"}]"#, Ok("kube-system/net"))]
#[case::empty("", Err(SelectionError::NotOne { found: 0 }))]
#[case::empty_list("[]", Err(SelectionError::NotOne { found: 0 }))]
#[case::two("a,b", Err(SelectionError::NotOne { found: 2 }))]
fn default_network(#[case] text: &str, #[case] expected: Result<&str, SelectionError>) {
    let network = parse_default_network(text, "kube-system").map(|network| network.nad.to_string());
    assert_eq!(network, expected.map(str::to_owned));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", namespace in ".*") {
        let _ = parse_networks(&text, &namespace);
    }

    #[test]
    fn nothing_like_json_makes_it_panic(text in r#"[\[\]{}",:a-z0-9/@. -]{0,60}|\[\{"name":.{0,20}\}\]"#) {
        let _ = parse_networks(&text, "ns");
    }

    #[test]
    fn both_forms_say_the_same(
        namespace in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?",
        name in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?",
        interface in "[a-zA-Z0-9_.]{1,15}",
    ) {
        let comma = format!("{namespace}/{name}@{interface}");
        let json = format!(r#"[{{"name":"{name}","namespace":"{namespace}","interface":"{interface}"}}]"#);
        prop_assert_eq!(parse_networks(&comma, "ns").unwrap(), parse_networks(&json, "ns").unwrap());
    }
}
