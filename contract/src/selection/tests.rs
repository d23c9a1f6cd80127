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

#[test]
fn refuses() {
    let cases = [
        ("parent directory", "../secrets"),
        ("comma path", "ns/../x"),
        ("two interfaces", "a@b@c"),
        ("empty element", "net,,net2"),
        ("white space only", " "),
        ("no name", "ns/"),
        ("dots", "net.example.com"),
        ("capital", "Net"),
        ("long interface", "net@abcdefghijklmnop"),
        ("space in interface", "net@a b"),
        ("object", r#"{"name":"net"}"#),
        ("string", r#""net""#),
        ("never falls back", "[net]"),
        ("truncated", r#"[{"name":"net""#),
        ("trailing", r#"[{"name":"net"}] x"#),
        ("null element", "[null]"),
        ("text element", r#"["net"]"#),
        ("number as name", r#"[{"name":7}]"#),
        ("no json name", r#"[{"name":"a"},{"namespace":"ns"}]"#),
        ("json path", r#"[{"name":"../../x"}]"#),
        ("json name with namespace", r#"[{"name":"a"},{"name":"other/net"}]"#),
        ("json namespace path", r#"[{"name":"a","namespace":"../x"}]"#),
        ("bad mac", r#"[{"name":"a","mac":"de:ad"}]"#),
        ("bad guid", r#"[{"name":"a","infiniband-guid":"x"}]"#),
        ("bad ip", r#"[{"name":"a","ips":["10.0.0.256"]}]"#),
        ("bad prefix", r#"[{"name":"a","ips":["10.0.0.1/33"]}]"#),
        ("null ip", r#"[{"name":"a","ips":[null]}]"#),
        ("prefix as route", r#"[{"name":"a","default-route":["10.0.0.0/8"]}]"#),
        ("port mappings", r#"[{"name":"a","portMappings":{}}]"#),
        ("bandwidth", r#"[{"name":"a","bandwidth":7}]"#),
    ];
    let told = cases.map(|(name, text)| {
        let message = parse_networks(text, "ns").map(|networks| show(&networks)).unwrap_err();
        format!("{name}\n  {message}")
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    parent directory
      element 1: namespace ".." has the character '.'; only lower-case letters, digits and '-' are allowed
    comma path
      element 1: "ns/../x" has more than one '/': write [NAMESPACE/]NAME[@INTERFACE]
    two interfaces
      element 1: "a@b@c" has more than one '@': write [NAMESPACE/]NAME[@INTERFACE]
    empty element
      element 2: "" names no NetworkAttachmentDefinition: give it a name, or remove it
    white space only
      element 1: "" names no NetworkAttachmentDefinition: give it a name, or remove it
    no name
      element 1: "ns/" names no NetworkAttachmentDefinition: give it a name, or remove it
    dots
      element 1: NAD name "net.example.com" has the character '.'; only lower-case letters, digits and '-' are allowed (in a comma list; the JSON form takes names with dots)
    capital
      element 1: NAD name "Net" has the character 'N'; only lower-case letters, digits and '-' are allowed (in a comma list; the JSON form takes names with dots)
    long interface
      element 1: interface "abcdefghijklmnop" is not an interface name: at most 15 bytes, without '/' and white space
    space in interface
      element 1: interface "a b" is not an interface name: at most 15 bytes, without '/' and white space
    object
      it is not a JSON list (invalid type: map, expected a sequence at line 1 column 0): write [{"name":"NAME","namespace":"NAMESPACE"}], or a comma list of [NAMESPACE/]NAME[@INTERFACE]
    string
      it is not a JSON list (invalid type: string "net", expected a sequence at line 1 column 5): write [{"name":"NAME","namespace":"NAMESPACE"}], or a comma list of [NAMESPACE/]NAME[@INTERFACE]
    never falls back
      it is not a JSON list (expected ident at line 1 column 3): write [{"name":"NAME","namespace":"NAMESPACE"}], or a comma list of [NAMESPACE/]NAME[@INTERFACE]
    truncated
      it is not a JSON list (EOF while parsing an object at line 1 column 14): write [{"name":"NAME","namespace":"NAMESPACE"}], or a comma list of [NAMESPACE/]NAME[@INTERFACE]
    trailing
      it is not a JSON list (trailing characters at line 1 column 18): write [{"name":"NAME","namespace":"NAMESPACE"}], or a comma list of [NAMESPACE/]NAME[@INTERFACE]
    null element
      element 1: "null" is not a network selection (invalid type: null, expected an object with a name at line 1 column 4)
    text element
      element 1: '"net"' is not a network selection (invalid type: string "net", expected an object with a name at line 1 column 5)
    number as name
      element 1: '{"name":7}' is not a network selection (invalid type: integer `7`, expected a string at line 1 column 9)
    no json name
      element 2: '{"namespace":"ns"}' names no NetworkAttachmentDefinition: give it a name, or remove it
    json path
      element 1: NAD name "../../x" has the character '/'; only lower-case letters, digits, '-' and '.' are allowed
    json name with namespace
      element 2: NAD name "other/net" has the character '/': write {"name":"net","namespace":"other"} (the JSON form has the namespace in a key of its own)
    json namespace path
      element 1: namespace "../x" has the character '.'; only lower-case letters, digits and '-' are allowed
    bad mac
      element 1: mac: "de:ad" is not a MAC address: write six octets such as 02:00:00:aa:bb:01
    bad guid
      element 1: infiniband-guid: "x" is not a MAC address: write six octets such as 02:00:00:aa:bb:01
    bad ip
      element 1: ips: "10.0.0.256" is not an IP address
    bad prefix
      element 1: ips: "10.0.0.1/33" is not an IP address
    null ip
      element 1: ips: "" is not an IP address
    prefix as route
      element 1: default-route: "10.0.0.0/8" is not an IP address
    port mappings
      element 1: '{"name":"a","portMappings":{}}' is not a network selection (invalid type: map, expected a sequence at line 1 column 27)
    bandwidth
      element 1: '{"name":"a","bandwidth":7}' is not a network selection (invalid type: integer `7`, expected an object at line 1 column 25)
    "#);
}

#[rstest]
#[case::too_many(&vec!["net"; 257].join(","), "it names 257 networks, and 256 is the most")]
#[case::too_many_in_json(&format!("[{}]", vec!["7"; 300].join(",")), "it names 300 networks, and 256 is the most")]
fn refuses_at_length(#[case] text: &str, #[case] start: &str) {
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
