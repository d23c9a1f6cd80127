//! Networks whose device may be from a resource claim.

use super::ignoring::ignoring;
use super::*;
use rstest::rstest;

#[test]
fn claims_that_may_be_a_networks_device_are_asked_about() {
    let mut pod = pod("vf,cx6");
    pod["spec"]["containers"][0]["resources"] =
        json!({"claims": [{"name": "gpu", "request": "one"}], "limits": {"mellanox.com/cx6_vfio": "1"}});
    let decision = decide_pod(&pod, &Options::default());
    insta::assert_snapshot!(decision.verdict.warnings.join("\n"), @r#"container "compute" holds resource claims, and nothing says whether the device of NetworkAttachmentDefinition ns/vf comes from one: its resource is requested, too. If it comes from a claim, annotate the NAD with kubevirt-sriov.io/device-source: resource-claim, or the pod or its VMI with kubevirt-sriov.io/ignore-networks: ns/vf; if not, annotate the NAD with kubevirt-sriov.io/device-source: device-plugin"#);
    assert!(matches!(decision.verdict.outcome, Outcome::Patched(_)));
}

#[rstest]
#[case::ignored(ignoring("vf", "*"), "vf", None, false)]
#[case::claimed(pod("claimed"), "claimed", Some("resource-claim"), false)]
#[case::not_claimed(pod("plugged"), "plugged", Some("device-plugin"), true)]
fn an_answer_about_claims_is_taken(
    #[case] mut pod: Value,
    #[case] nad: &str,
    #[case] source: Option<&str>,
    #[case] requested: bool,
) {
    pod["spec"]["containers"][0]["resources"] = json!({"claims": [{"name": "vf"}]});
    let mut networks = networks();
    let annotations = source.into_iter().map(|source| (annotation::DEVICE_SOURCE, source));
    let resource = (annotation::RESOURCE_NAME, "intel.com/sriov_vfio");
    let keys = Options::default().resource_annotations;
    let network = Network::from_annotations(&keys, annotations.chain([resource]));
    networks.0.insert(NadName::new("ns", nad).unwrap(), Arc::new(network));
    let body = review(&pod).to_string();
    let decision = decide(&read(body.as_bytes()).unwrap(), &networks, &Options::default());
    assert_eq!(decision.verdict.warnings, Vec::<String>::new());
    assert_eq!(matches!(decision.verdict.outcome, Outcome::Patched(_)), requested);
}

/// A pod that selects `vf` twice and `broken`, and whose VMI says that some of these are claimed.
fn claiming(claimed: &[(&str, &str)], holds_claims: bool) -> Value {
    let mut pod = pod("vf,vf,broken");
    let entry = |(network, nad): &(&str, &str)| {
        let claim = json!({"kind": "resourceclaims", "claim": "vfs", "request": network});
        ((*network).to_owned(), json!({"nad": format!("ns/{nad}"), "claim": claim}))
    };
    let networks: Value = Value::Object(claimed.iter().map(entry).collect());
    pod["metadata"]["annotations"]["kubevirt-sriov.io/networks"] = networks.to_string().into();
    if holds_claims {
        pod["spec"]["containers"][0]["resources"] = json!({"claims": [{"name": "vfs"}]});
    }
    pod
}

/// Of a claimed device no second one is requested, and the NAD's resource may be any text.
#[rstest]
#[case::one_of_two(&[("a", "vf"), ("c", "broken")], Some("1"))]
#[case::all(&[("a", "vf"), ("b", "vf"), ("c", "broken")], None)]
#[case::more_than_the_pod_selects(&[("a", "vf"), ("b", "vf"), ("d", "vf"), ("c", "broken")], None)]
fn a_claimed_device_is_not_requested(#[case] claimed: &[(&str, &str)], #[case] requested: Option<&str>) {
    let mut pod = claiming(claimed, true);
    let decision = decide_pod(&pod, &Options::default());
    apply(decision.verdict.outcome.patch(), &mut pod);
    let requests = &pod["spec"]["containers"][0]["resources"]["requests"]["intel.com/sriov_vfio"];
    assert_eq!(requests.as_str(), requested);
    assert!(decision.verdict.denial().is_none());
}

/// The author of the pod may write any annotation: without a claim there is no claimed device.
#[test]
fn a_pod_that_holds_no_claim_has_no_claimed_device() {
    let pod = claiming(&[("a", "vf"), ("b", "vf"), ("c", "broken")], false);
    let Outcome::Denied(denial) = decide_pod(&pod, &Options::default()).verdict.outcome else {
        panic!("passed")
    };
    assert_eq!(denial.reason, Reason::NetworkInvalid);
    assert!(!denial.message.contains("resource-claim"), "{}", denial.message);
}

/// The second of two attachments to one NAD is not claimed.
#[test]
fn an_attachment_that_is_not_claimed_is_refused_beside_one_that_is() {
    let mut pod = claiming(&[("c", "broken")], true);
    pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = "broken,broken".into();
    let Outcome::Denied(denial) = decide_pod(&pod, &Options::default()).verdict.outcome else {
        panic!("passed")
    };
    assert!(denial.message.contains("element 2: "), "{}", denial.message);
}

#[test]
fn a_wrong_resource_beside_claims_may_be_the_name_of_a_claimed_device() {
    let Outcome::Denied(denial) = decide_pod(&claiming(&[], true), &Options::default()).verdict.outcome
    else {
        panic!("passed")
    };
    insta::assert_snapshot!(denial.message, @r#"annotation k8s.v1.cni.cncf.io/networks: element 3: NetworkAttachmentDefinition ns/broken: its annotation k8s.v1.cni.cncf.io/resourceName: "../secrets" is not a resource name: its prefix must start and end with a lower-case letter or digit, on each side of every dot; if its device comes from a resource claim of the pod, annotate the NAD with kubevirt-sriov.io/device-source: resource-claim"#);
}
