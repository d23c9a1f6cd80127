use super::*;
use crate::devices::PodTexts;
use contract::{ClaimContent, ClaimDevice, ClaimKind, ClaimMetadata, ClaimRequest};
use rstest::rstest;

mod attached;
mod claimed;
mod known;
mod refusals;
mod tables;
mod vmi_text;

/// A VMI whose interfaces are `(name, NAD, further fields)`.
fn vmi(interfaces: &[(&str, &str, &str)]) -> String {
    let list: Vec<_> =
        interfaces.iter().map(|(name, _, more)| format!(r#"{{"name":"{name}"{more}}}"#)).collect();
    let networks: Vec<_> = interfaces
        .iter()
        .map(|(name, nad, _)| match nad.strip_prefix("default!") {
            Some(nad) => format!(r#"{{"name":"{name}","multus":{{"networkName":"{nad}","default":true}}}}"#),
            None if *nad == "claim" => format!(
                r#"{{"name":"{name}","resourceClaim":{{"claimName":"net","requestName":"{name}"}}}}"#
            ),
            None if nad.ends_with("!claim") => format!(
                r#"{{"name":"{name}","multus":{{"networkName":"{}","resourceClaim":{{"claimName":"net","requestName":"{name}"}}}}}}"#,
                nad.trim_end_matches("!claim")
            ),
            None if *nad == "pod" => format!(r#"{{"name":"{name}","pod":{{}}}}"#),
            None => format!(r#"{{"name":"{name}","multus":{{"networkName":"{nad}"}}}}"#),
        })
        .collect();
    format!(
        r#"{{"metadata":{{"namespace":"ns"}},"spec":{{"domain":{{"devices":{{"interfaces":[{}]}}}},"networks":[{}],"resourceClaims":[{{"name":"net","resourceClaimTemplateName":"any"}}]}}}}"#,
        list.join(","),
        networks.join(",")
    )
}

const VF: &str = r#","sriov":{}"#;
const VF_WITH_MAC: &str = r#","sriov":{},"macAddress":"02:00:00:00:00:01""#;
const ABSENT: &str = r#","sriov":{},"state":"absent""#;
const BRIDGE: &str = r#","bridge":{}"#;

/// Plans with the given variables; what was planned, or the error, as texts.
#[derive(Clone, Copy)]
struct Case<'a> {
    vmi: &'a [(&'a str, &'a str, &'a str)],
    variables: &'a [(&'a str, &'a str)],
    annotation: Option<&'a str>,
    network_info: Option<&'a str>,
    network_status: Option<&'a str>,
    aliases: &'a [(&'a str, &'a str)],
    claims: &'a [ClaimMetadata],
    rule: Assign,
}

type Planned = Result<Vec<Assignment>, PlanError>;

const NOTHING: Case<'_> = Case {
    vmi: &[],
    variables: &[],
    annotation: None,
    network_info: None,
    network_status: None,
    aliases: &[],
    claims: &[],
    rule: Assign::Refuse,
};

impl Case<'_> {
    fn plan(&self) -> Planned {
        self.plan_with(&mut Vec::new())
    }

    fn plan_with(&self, warnings: &mut Vec<String>) -> Planned {
        let variables: Vec<_> =
            self.variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let devices = Devices::read(&PodTexts {
            variables: &variables,
            network_info: self.network_info,
            network_status: self.network_status,
            networks_annotation: None,
            claims: self.claims,
        })?;
        let vmi = Vmi::parse(&vmi(self.vmi), "sriov")?;
        let wanted: Vec<_> = vmi.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        let aliases = self.aliases.iter();
        let request = Request {
            networks: Some(&vmi.networks),
            namespace: &vmi.namespace,
            wanted: &wanted,
            annotation: self.annotation,
            devices: &devices,
            aliases: &aliases
                .map(|(network, address)| ((*network).to_owned(), address.parse().unwrap()))
                .collect(),
            rule: self.rule,
        };
        plan(&request, warnings)
    }

    /// `network=address` joined by spaces.
    fn planned(&self) -> String {
        let planned = self.plan().unwrap();
        let pairs = planned.iter().map(|one| format!("{}={}", one.network, one.address));
        pairs.collect::<Vec<_>>().join(" ")
    }

    fn error(&self) -> String {
        self.plan().unwrap_err().to_string()
    }
}

const TWO_OF_X: (&str, &str) = ("PCIDEVICE_INTEL_COM_X", "0000:01:10.2,0000:01:10.0");
const ONE_OF_X: (&str, &str) = ("PCIDEVICE_INTEL_COM_X", "0000:01:10.0");
const ONE_OF_Y: (&str, &str) = ("PCIDEVICE_INTEL_COM_Y", "0000:02:10.0");
const RESOURCES: (&str, &str) = (
    "SRIOV_NETWORK_RESOURCES",
    r#"{"ns/x":"intel.com/x","ns/x2":"intel.com/x","ns/y":"intel.com/y","kube-system/x":"intel.com/x"}"#,
);

#[rstest]
#[case::one_network_and_one_device(
    Case { vmi: &[("a", "x", VF)], variables: &[ONE_OF_X], ..NOTHING },
    "a=0000:01:10.0"
)]
#[case::resource_by_nad(
    Case { vmi: &[("a", "y", VF), ("b", "ns/x", VF)], variables: &[ONE_OF_X, ONE_OF_Y, RESOURCES], ..NOTHING },
    "a=0000:02:10.0 b=0000:01:10.0"
)]
#[case::resource_by_kubevirts_variable(
    Case {
        vmi: &[("A-a", "x", VF), ("b_b", "y", VF)],
        variables: &[
            ONE_OF_X,
            ONE_OF_Y,
            ("KUBEVIRT_RESOURCE_NAME_A-a", "intel.com/y"),
            ("KUBEVIRT_RESOURCE_NAME_b_b", "intel.com/x"),
        ],
        ..NOTHING
    },
    "A-a=0000:02:10.0 b_b=0000:01:10.0"
)]
#[case::interchangeable_networks(
    Case { vmi: &[("b", "x", VF), ("a", "ns/x", VF)], variables: &[TWO_OF_X], ..NOTHING },
    "b=0000:01:10.0 a=0000:01:10.2"
)]
#[case::plugin_binding(
    Case { vmi: &[("a", "x", r#","binding":{"name":"sriov"}"#)], variables: &[ONE_OF_X], ..NOTHING },
    "a=0000:01:10.0"
)]
#[case::other_binding_takes_none_of_one_device(
    Case { vmi: &[("a", "x", VF), ("b", "y", BRIDGE)], variables: &[ONE_OF_X], ..NOTHING },
    "a=0000:01:10.0"
)]
#[case::absent_interface(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", r#","sriov":{},"state":"absent""#)],
        variables: &[ONE_OF_X, RESOURCES],
        ..NOTHING
    },
    "a=0000:01:10.0"
)]
#[case::what_is_known_leaves_one(
    Case {
        vmi: &[("a", "x", VF_WITH_MAC), ("b", "x2", VF)],
        variables: &[TWO_OF_X],
        aliases: &[("a", "0000:01:10.2")],
        ..NOTHING
    },
    "a=0000:01:10.2 b=0000:01:10.0"
)]
#[case::network_info_before_alias(
    Case {
        vmi: &[("a", "x", VF)],
        aliases: &[("a", "0000:01:10.2")],
        network_info: Some(
            r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.5"}}}]}"#
        ),
        ..NOTHING
    },
    "a=0000:01:10.5"
)]
#[case::status_of_a_numbered_interface(
    Case {
        vmi: &[("a", "x", VF)],
        network_status: Some(
            r#"[{"name":"podnet","interface":"eth0","default":true},
                {"name":"ns/x","interface":"net1","device-info":{"type":"pci","pci":{"pci-address":"0000:01:10.5"}}}]"#
        ),
        ..NOTHING
    },
    "a=0000:01:10.5"
)]
#[case::status_of_the_default_network(
    Case {
        vmi: &[("a", "default!x", VF)],
        network_status: Some(
            r#"[{"name":"kube-system/x","interface":"eth0","default":true,
                 "device-info":{"type":"pci","pci":{"pci-address":"0000:01:10.5"}}}]"#
        ),
        ..NOTHING
    },
    "a=0000:01:10.5"
)]
#[case::no_interface_with_a_vf(Case { vmi: &[("a", "x", BRIDGE)], variables: &[TWO_OF_X], ..NOTHING }, "")]
#[case::selected_device(
    Case {
        vmi: &[("a", "z", VF)],
        variables: &[RESOURCES],
        annotation: Some(r#"[{"name":"z","deviceID":"0000:01:10.7"}]"#),
        ..NOTHING
    },
    "a=0000:01:10.7"
)]
#[case::selected_device_that_multus_ignores(
    Case {
        vmi: &[("a", "x", VF)],
        variables: &[RESOURCES, ONE_OF_X],
        annotation: Some(r#"[{"name":"x","deviceID":"0000:01:10.7"}]"#),
        ..NOTHING
    },
    "a=0000:01:10.0"
)]
fn unambiguous(#[case] case: Case<'_>, #[case] expected: &str) {
    assert_eq!(case.planned(), expected);
}

#[rstest]
#[case::order_of_the_networks(
    Case { vmi: &[("a", "x", VF_WITH_MAC), ("b", "x", VF)], variables: &[TWO_OF_X], ..NOTHING },
    "a=0000:01:10.0 b=0000:01:10.2"
)]
#[case::default_network_first(
    Case { vmi: &[("a", "x", VF), ("b", "default!ns/x2", VF)], variables: &[TWO_OF_X, RESOURCES], ..NOTHING },
    "a=0000:01:10.2 b=0000:01:10.0"
)]
#[case::order_of_the_annotation(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF)],
        variables: &[TWO_OF_X, RESOURCES],
        annotation: Some("x2, x"),
        ..NOTHING
    },
    "a=0000:01:10.2 b=0000:01:10.0"
)]
#[case::same_nad_by_interface_name(
    Case {
        vmi: &[("sriov-net1", "x", VF_WITH_MAC), ("sriov-net2", "x", VF)],
        variables: &[TWO_OF_X],
        annotation: Some("x@pode4620dba916,x@pod9b6a4757d26"),
        ..NOTHING
    },
    "sriov-net1=0000:01:10.2 sriov-net2=0000:01:10.0"
)]
#[case::another_binding_takes_one(
    Case { vmi: &[("a", "x", BRIDGE), ("b", "x2", VF)], variables: &[TWO_OF_X, RESOURCES], ..NOTHING },
    "b=0000:01:10.2"
)]
#[case::sorted_as_texts(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF)],
        variables: &[("PCIDEVICE_INTEL_COM_X", "0002:01:10.0,10000:01:10.0"), RESOURCES],
        ..NOTHING
    },
    "a=0002:01:10.0 b=10000:01:10.0"
)]
#[case::sorted_as_texts_not_numbers(
    Case {
        vmi: &[("a", "x", VF), ("b", "x2", VF)],
        variables: &[("PCIDEVICE_INTEL_COM_X", "2000:01:10.0,10000:01:10.0"), RESOURCES],
        ..NOTHING
    },
    "a=10000:01:10.0 b=2000:01:10.0"
)]
#[case::more_devices_than_networks(
    Case {
        vmi: &[("a", "x", VF)],
        variables: &[TWO_OF_X, RESOURCES],
        annotation: Some("x"),
        ..NOTHING
    },
    "a=0000:01:10.0"
)]
#[case::absent_interface_that_the_pod_has(
    Case {
        vmi: &[("a", "x", ABSENT), ("b", "x", VF_WITH_MAC)],
        variables: &[TWO_OF_X, RESOURCES],
        annotation: Some("x@podca978112ca1,x@pod3e23e816003"),
        ..NOTHING
    },
    "b=0000:01:10.2"
)]
#[case::absent_interface_by_number(
    Case {
        vmi: &[("a", "x", ABSENT), ("b", "x", VF_WITH_MAC)],
        variables: &[TWO_OF_X, RESOURCES],
        annotation: Some("x@net1,x@net2"),
        ..NOTHING
    },
    "b=0000:01:10.2"
)]
#[case::absent_interface_that_the_pod_never_had(
    Case {
        vmi: &[("a", "x", ABSENT), ("b", "x", VF_WITH_MAC), ("c", "x", VF)],
        variables: &[TWO_OF_X, RESOURCES],
        annotation: Some("x@net1,x@net2"),
        ..NOTHING
    },
    "b=0000:01:10.0 c=0000:01:10.2"
)]
fn refused_or_as_multus_does(#[case] case: Case<'_>, #[case] multus: &str) {
    assert!(matches!(case.plan(), Err(PlanError::Ambiguous { .. })), "{:?}", case.plan());
    assert_eq!(Case { rule: Assign::Multus, ..case }.planned(), multus);
}

#[test]
fn in_the_order_of_the_variable() {
    let vmi = &[("a", "x", VF_WITH_MAC), ("b", "x", VF)];
    let case = Case { vmi, variables: &[TWO_OF_X], rule: Assign::InOrder, ..NOTHING };
    assert_eq!(case.planned(), "a=0000:01:10.2 b=0000:01:10.0");
}

#[rstest]
#[case::refuse("refuse", Assign::Refuse)]
#[case::multus("multus", Assign::Multus)]
#[case::in_order("in-order", Assign::InOrder)]
fn rules(#[case] text: &str, #[case] rule: Assign) {
    assert_eq!(text.parse(), Ok(rule));
    assert_eq!(rule.to_string(), text);
}

#[test]
fn no_rule() {
    assert_eq!(
        "sorted".parse::<Assign>().unwrap_err().to_string(),
        "\"sorted\" is not a way to assign devices: write refuse, multus or in-order"
    );
}
