use super::*;
use contract::ClaimKind;
use proptest::prelude::*;
use rstest::rstest;
use std::fs;

const V1ALPHA1: &str = r#"{
  "apiVersion": "metadata.resource.k8s.io/v1alpha1",
  "kind": "DeviceMetadata",
  "metadata": {"name": "net", "namespace": "ns", "generation": 1},
  "podClaimName": "net",
  "requests": [{"name": "vf", "devices": [{
    "driver": "sriovnetwork.k8snetworkplumbingwg.io",
    "pool": "node1",
    "name": "0000-65-02-1",
    "attributes": {
      "resource.kubernetes.io/pciBusID": {"string": "0000:65:02.1"},
      "sriovnetwork.k8snetworkplumbingwg.io/vfID": {"int": 1},
      "example.com/fast": {"bool": true},
      "example.com/firmware": {"version": "1.2.3"}
    },
    "networkData": {"interfaceName": "net1", "ips": ["10.0.0.1/24"]}
  }]}]
}"#;

/// A metadata object with one request.
fn object(version: &str, request: &str, devices: &str) -> String {
    format!(r#"{{"apiVersion":"{version}","requests":[{{"name":"{request}","devices":{devices}}}]}}"#)
}

fn device_of(address: &str) -> Vec<ClaimDevice> {
    vec![ClaimDevice { name: "0000-65-02-1".to_owned(), pci_bus_id: Some(address.to_owned()) }]
}

const ONE: &str =
    r#"[{"name":"0000-65-02-1","attributes":{"resource.kubernetes.io/pciBusID":{"string":"0000:65:02.1"}}}]"#;
const OTHER: &str =
    r#"[{"name":"0000-65-02-1","attributes":{"resource.kubernetes.io/pciBusID":{"string":"0000:65:02.2"}}}]"#;
const ALPHA: &str = "metadata.resource.k8s.io/v1alpha1";
const BETA: &str = "metadata.resource.k8s.io/v1beta1";
const FUTURE: &str = "metadata.resource.k8s.io/v2";

#[rstest]
#[case::as_a_driver_writes_it(V1ALPHA1.to_owned())]
#[case::beta(object(BETA, "vf", ONE))]
#[case::the_first_known_version_counts(format!("{}\n{}", object(BETA, "vf", ONE), object(ALPHA, "vf", OTHER)))]
#[case::unknown_versions_are_skipped(format!(
    "{{\"apiVersion\":\"{FUTURE}\",\"requests\":\"of another form\"}}\n{}\n",
    object(ALPHA, "vf", ONE)
))]
#[case::without_a_line_end_between(format!("{}{}", object(FUTURE, "vf", OTHER), object(ALPHA, "vf", ONE)))]
#[case::the_chosen_alternative_of_a_request(object(ALPHA, "vf/fast", ONE))]
#[case::broken_text_after_the_object_that_counts(format!("{} {{", object(ALPHA, "vf", ONE)))]
fn metadata(#[case] text: String) {
    assert_eq!(parse(text.as_bytes(), "vf"), Ok(device_of("0000:65:02.1")));
}

#[rstest]
#[case::nothing(String::new(), "is empty: look whether")]
#[case::blanks(" \n".to_owned(), "is empty: look whether")]
#[case::yaml("apiVersion: metadata.resource.k8s.io/v1alpha1".to_owned(), "is not device metadata: ")]
#[case::list("[]".to_owned(), "is not device metadata: ")]
#[case::cut_off(object(ALPHA, "vf", "[{"), "is not device metadata: ")]
#[case::another_form(object(ALPHA, "vf", r#"{"name":1}"#), "is not device metadata: ")]
#[case::unknown_versions(
    format!("{}{{\"apiVersion\":\"x/v3\"}}", object(FUTURE, "vf", ONE)),
    "has only the API versions \"metadata.resource.k8s.io/v2\", \"x/v3\", and metadata.resource.k8s.io/v1beta1 and \
     metadata.resource.k8s.io/v1alpha1 are read: use a launcher-hook"
)]
#[case::no_version("{}".to_owned(), "has only the API versions \"\", and ")]
#[case::another_request(object(ALPHA, "gpu", ONE), "names the requests \"gpu\", and not this one: ")]
#[case::no_request(format!("{{\"apiVersion\":\"{ALPHA}\"}}"), "names the requests none, and not this one: ")]
fn what_is_not_metadata(#[case] text: String, #[case] start: &str) {
    let problem = parse(text.as_bytes(), "vf").unwrap_err();
    assert!(problem.starts_with(start), "{problem}");
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    assert!(parse(b"{\"apiVersion\":\"\xff\"}", "vf").is_err());
}

/// A tree of metadata files: `path` below the folder, and text.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn request(kind: ClaimKind, claim: &str, request: &str) -> ClaimRequest {
    ClaimRequest::new(kind, claim, request).unwrap()
}

/// The device of `request vf of claim net` in such a tree, with the folder cut out of the message.
fn found(files: &[(&str, &str)]) -> Result<Option<String>, String> {
    let folder = tree(files);
    let files = files::read(folder.path());
    let variable = |name: &str| (name == "named").then(|| "0000:65:02.7".parse().unwrap());
    let found = device(&files, &request(ClaimKind::Claim, "net", "vf"), variable);
    let cut = |error: ClaimError| error.to_string().replace(folder.path().to_str().unwrap(), "DIR");
    found.map(|address| address.map(|address| address.to_string())).map_err(cut)
}

const FILE: &str = "resourceclaims/net/vf/sriov.example.com-metadata.json";

#[test]
fn the_file_of_a_request() {
    let own = object(ALPHA, "vf", ONE);
    let other = object(ALPHA, "vf", OTHER);
    let files = [
        (FILE, own.as_str()),
        ("resourceclaims/net/vf/sriov.example.com-metadata.json.new", "half of it"),
        ("resourceclaims/net/gpu/sriov.example.com-metadata.json", "no JSON, and nobody asks for it"),
        ("resourceclaims/net2/vf/sriov.example.com-metadata.json", &other),
        ("resourceclaimtemplates/net/vf/sriov.example.com-metadata.json", &other),
        ("another/net/vf/sriov.example.com-metadata.json", &other),
    ];
    assert_eq!(found(&files), Ok(Some("0000:65:02.1".to_owned())));
    let folder = tree(&files);
    let template = request(ClaimKind::Template, "net", "vf");
    let address = device(&files::read(folder.path()), &template, |_| None).unwrap();
    assert_eq!(address.map(|address| address.to_string()).as_deref(), Some("0000:65:02.2"));
    assert_eq!(found(&files[2..]), Ok(None));
    assert_eq!(files::read(Path::new("/nowhere")), []);
}

use std::path::Path;

/// The driver's variable says what the attribute does not.
#[test]
fn a_device_without_an_address_that_the_drivers_variable_names() {
    let text = object(ALPHA, "vf", r#"[{"name":"named"}]"#);
    assert_eq!(found(&[(FILE, &text)]), Ok(Some("0000:65:02.7".to_owned())));
}

/// Each message names the claim, the request, the file and the remedy.
#[test]
fn what_cannot_be_a_networks_device() {
    let error = |text: &str| found(&[(FILE, text)]).unwrap_err();
    let devices = |devices: &str| error(&object(ALPHA, "vf", devices));
    insta::assert_snapshot!(devices("[]"), @"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json names no device: look whether the DRA driver has prepared the claim (kubectl describe resourceclaim)");
    insta::assert_snapshot!(devices(r#"[{"name":"a"},{"name":"b"}]"#), @"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json names 2 devices: a network has one, so let the claim have one request for each network, with `count: 1`");
    insta::assert_snapshot!(devices(r#"[{"name":"a"}]"#), @r#"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json names the device "a" without the attribute resource.kubernetes.io/pciBusID: use a DeviceClass of PCI VFs, and a DRA driver that publishes the attribute"#);
    insta::assert_snapshot!(devices(r#"[{"name":"a","attributes":{"resource.kubernetes.io/pciBusID":{"int":7}}}]"#), @r#"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json names the device "a" without the attribute resource.kubernetes.io/pciBusID: use a DeviceClass of PCI VFs, and a DRA driver that publishes the attribute"#);
    insta::assert_snapshot!(devices(r#"[{"name":"a","attributes":{"resource.kubernetes.io/pciBusID":{"string":"65:02.1"}}}]"#), @r#"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json has the attribute resource.kubernetes.io/pciBusID of the device "a": "65:02.1" is not a PCI address: write domain:bus:device.function such as 0000:65:02.1; correct the DRA driver"#);
    insta::assert_snapshot!(error("---"), @"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json is not device metadata: invalid number at line 1 column 2; correct the DRA driver that wrote it");
    insta::assert_snapshot!(error(&object(FUTURE, "vf", ONE)), @r#"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json has only the API versions "metadata.resource.k8s.io/v2", and metadata.resource.k8s.io/v1beta1 and metadata.resource.k8s.io/v1alpha1 are read: use a launcher-hook that is as new as the DRA driver"#);
    let other = "resourceclaims/net/vf/another.example.com-metadata.json";
    let own = object(ALPHA, "vf", ONE);
    insta::assert_snapshot!(found(&[(FILE, &own), (other, &own)]).unwrap_err(), @"request vf of claim net: DIR/resourceclaims/net/vf/another.example.com-metadata.json and DIR/resourceclaims/net/vf/sriov.example.com-metadata.json are both about it: a network has one device, so let the claim have one request for each network, with `count: 1` and a DeviceClass of one driver");
    let long = format!("{own}{}", " ".repeat(2 << 20));
    insta::assert_snapshot!(error(&long), @"request vf of claim net: DIR/resourceclaims/net/vf/sriov.example.com-metadata.json cannot be read: it has more than 1048576 bytes; look at the DRA driver that wrote it");
}

#[test]
fn what_is_not_a_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join(FILE)).unwrap();
    let files = files::read(folder.path());
    let error = device(&files, &request(ClaimKind::Claim, "net", "vf"), |_| None).unwrap_err().to_string();
    assert!(error.contains(" cannot be read: it is not a file; "), "{error}");
}

proptest! {
    /// Whatever a file holds, it is read or refused, and a refusal stays short.
    #[test]
    fn no_text_breaks_the_reader(text in "[{}\\[\\]\",:a-z0-9 \n]{0,200}") {
        if let Err(problem) = parse(text.as_bytes(), "vf") {
            prop_assert!(problem.len() < 1000, "{}", problem);
        }
    }

    /// The same data in several versions is the same as in one, in whatever order.
    #[test]
    fn versions_do_not_matter(before in 0..4usize, after in 0..4usize) {
        let unknown = object(FUTURE, "vf", OTHER);
        let text = [unknown.repeat(before), object(ALPHA, "vf", ONE), unknown.repeat(after)].concat();
        prop_assert_eq!(parse(text.as_bytes(), "vf"), Ok(device_of("0000:65:02.1")));
    }
}
