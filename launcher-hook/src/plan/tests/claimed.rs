//! Networks whose device is from a resource claim; docs/design/which-vf.md has the rules.

use super::*;

/// The metadata of the request that the VMIs of these tests have for a network.
pub(super) fn metadata(network: &str, address: &str) -> ClaimMetadata {
    let device = ClaimDevice { name: "vf".to_owned(), pci_bus_id: Some(address.to_owned()) };
    ClaimMetadata {
        of: ClaimRequest::new(ClaimKind::Template, "net", network).unwrap(),
        file: format!("/metadata/{network}"),
        content: ClaimContent::Devices(vec![device]),
    }
}

const TWO: &[(&str, &str, &str)] = &[("a", "claim", VF), ("b", "claim", r#","binding":{"name":"sriov"}"#)];

/// Whatever the order of the files and of the variables.
#[test]
fn each_claimed_network_has_the_device_of_its_own_request() {
    let [first, second] = [metadata("b", "0000:01:10.0"), metadata("a", "0000:01:10.2")];
    let driver = ("SRIOVNETWORK_PCI_ADDRESSES", "0000:01:10.0,0000:01:10.2");
    for claims in [[first.clone(), second.clone()], [second, first]] {
        let case = Case { vmi: TWO, variables: &[driver], claims: &claims, ..NOTHING };
        assert_eq!(case.planned(), "a=0000:01:10.2 b=0000:01:10.0");
        assert!(case.plan().unwrap().iter().all(|one| one.origin == Origin::Claim));
    }
}

#[test]
fn refusals_name_networks_claims_and_addresses() {
    let one = &[("a", "claim", VF)];
    insta::assert_snapshot!(Case { vmi: TWO, ..NOTHING }.error(), @"no device for network a: nothing names the device of request a of claim net: use a DRA driver that writes device metadata (KEP-5304, Kubernetes 1.36), and launcher-hook in the container that holds the claim, or in mode `compute`; no device for network b: nothing names the device of request b of claim net: use a DRA driver that writes device metadata (KEP-5304, Kubernetes 1.36), and launcher-hook in the container that holds the claim, or in mode `compute`");
    let driver = ("SRIOVNETWORK_PCI_ADDRESSES", "0000:01:10.0,0000:01:10.2");
    insta::assert_snapshot!(Case { vmi: TWO, variables: &[driver], ..NOTHING }.error(), @"which of the devices 0000:01:10.0, 0000:01:10.2 belongs to which of the networks a, b is not known: they are from resource claims without device metadata, and the driver's variables do not say which is whose. A DRA driver that writes device metadata (KEP-5304) would say it");
    let broken =
        ClaimMetadata { content: ClaimContent::Problem("is broken".to_owned()), ..metadata("a", "") };
    insta::assert_snapshot!(Case { vmi: one, claims: &[broken], ..NOTHING }.error(), @"the device of network a is not known: request a of claim net: /metadata/a is broken");
    let same = [metadata("a", "0000:01:10.0"), metadata("b", "0000:01:10.0")];
    insta::assert_snapshot!(Case { vmi: TWO, claims: &same, ..NOTHING }.error(), @"networks a and b would both have 0000:01:10.0: a VF belongs to one network");
    let info = r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.5"}}}]}"#;
    let claims = [metadata("a", "0000:01:10.0")];
    insta::assert_snapshot!(Case { vmi: one, claims: &claims, network_info: Some(info), ..NOTHING }.error(), @"network a has 0000:01:10.5 in network-info, and 0000:01:10.0 in the metadata of request a of claim net: one of them is old; restart the virtual machine");
    let of_multus = &[("a", "x!claim", VF), ("b", "x2!claim", VF)];
    let claims = [metadata("a", "0000:01:10.0"), metadata("b", "0000:01:10.2")];
    insta::assert_snapshot!(Case { vmi: of_multus, claims: &claims, ..NOTHING }.error(), @"which of the devices 0000:01:10.0, 0000:01:10.2 belongs to which of the networks a, b is not known: Multus gives the devices of a resource to its networks in their order, whatever request they are from. KubeVirt's network-info would settle it");
}

/// Multus is right about its networks, but the claim was meant otherwise.
#[test]
fn a_report_that_is_not_what_was_claimed_is_said() {
    let info = r#"{"interfaces":[
        {"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.2"}}},
        {"network":"b","deviceInfo":{"type":"pci","pci":{"pci-address":"0000:01:10.0"}}}]}"#;
    let claims = [metadata("a", "0000:01:10.0"), metadata("b", "0000:01:10.2")];
    let vmi = &[("a", "x!claim", VF), ("b", "x2!claim", VF)];
    let case = Case { vmi, claims: &claims, network_info: Some(info), ..NOTHING };
    let mut warnings = Vec::new();
    case.plan_with(&mut warnings).unwrap();
    assert_eq!(case.planned(), "a=0000:01:10.2 b=0000:01:10.0");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    insta::assert_snapshot!(warnings[0], @"network a has 0000:01:10.2 (network-info), and request a of claim net was given 0000:01:10.0: Multus gives the devices of a resource to its networks in their order, whatever request they are from; one resource for each request keeps them apart");
}

/// Two resources of DRA in one variable: their order is not that of Multus.
#[test]
fn the_rule_of_multus_is_not_for_a_variable_of_several_resources() {
    let driver = ("SRIOVNETWORK_PCI_ADDRESSES", "0000:01:10.0,0000:01:10.2");
    let case = Case { variables: &[driver, RESOURCES], rule: Assign::Multus, ..NOTHING };
    assert_eq!(
        Case { vmi: &[("a", "x", VF), ("b", "x2", VF)], ..case }.planned(),
        "a=0000:01:10.0 b=0000:01:10.2"
    );
    let mixed = Case { vmi: &[("a", "y", VF), ("b", "x", VF)], ..case };
    insta::assert_snapshot!(mixed.error(), @"which of the devices 0000:01:10.0, 0000:01:10.2 belongs to which of the networks a, b is not known: the pod has devices of several resources, and nothing says which network has which. KubeVirt's network-info would settle it");
}

#[rstest]
#[case::undeclared(r#""claimName":"other","requestName":"vf""#)]
#[case::no_names("")]
#[case::path(r#""claimName":"net","requestName":"../../etc""#)]
fn a_claim_that_cannot_be(#[case] claim: &str) {
    let text = vmi(&[("a", "claim", VF)]).replace(r#""claimName":"net","requestName":"a""#, claim);
    let error = Vmi::parse(&text, "sriov").unwrap_err().to_string();
    assert!(error.starts_with("network \"a\" of the VMI: "), "{error}");
}

/// A claim that the VMI names directly is found under its own name, one of a template under that in the VMI.
#[test]
fn where_a_claim_is_looked_for() {
    let text = vmi(&[("a", "claim", VF)]);
    let claim = |text: &str| Vmi::parse(text, "sriov").unwrap().networks.claimed[0].claim.clone();
    assert_eq!(claim(&text), ClaimRequest::new(ClaimKind::Template, "net", "a").unwrap());
    let direct = text.replace(r#""resourceClaimTemplateName":"any""#, r#""resourceClaimName":"my.net""#);
    assert_eq!(claim(&direct), ClaimRequest::new(ClaimKind::Claim, "my.net", "a").unwrap());
}
