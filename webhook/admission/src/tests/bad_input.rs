use super::*;
use rstest::rstest;

/// The status of the refusal that `pod` gets.
fn refusal(pod: &Value) -> (Value, String) {
    let response = respond(review(pod).to_string().as_bytes(), &Options::default()).unwrap();
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("3f0c7d2e"), &json!(false)), "{response}");
    assert_eq!(response["status"]["status"], "Failure");
    (response["status"]["code"].clone(), response["status"]["message"].as_str().unwrap().to_owned())
}

#[test]
fn annotations() {
    let cases = [
        ("parent", "../secrets"),
        ("json parent", r#"[{"name":"../../pods"}]"#),
        ("empty name", "vf,,vf"),
        ("null element", r#"[{"name":"vf"},null]"#),
        ("broken json", r#"[{"name":"vf""#),
        ("unknown", "vf,missing"),
        ("two unknown", "missing,gone"),
        ("invalid nad", "broken"),
    ];
    let told = cases.map(|(name, annotation)| {
        let (code, message) = refusal(&pod(annotation));
        assert_eq!(code, 422, "{name}");
        format!("{name}\n  {message}")
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    parent
      annotation k8s.v1.cni.cncf.io/networks: element 1: namespace ".." has the character '.'; only lower-case letters, digits and '-' are allowed
    json parent
      annotation k8s.v1.cni.cncf.io/networks: element 1: NAD name "../../pods" has the character '/'; only lower-case letters, digits, '-' and '.' are allowed
    empty name
      annotation k8s.v1.cni.cncf.io/networks: element 2: "" names no NetworkAttachmentDefinition: give it a name, or remove it
    null element
      annotation k8s.v1.cni.cncf.io/networks: element 2: "null" is not a network selection (invalid type: null, expected an object with a name at line 1 column 4)
    broken json
      annotation k8s.v1.cni.cncf.io/networks: it is not a JSON list (EOF while parsing an object at line 1 column 13): write [{"name":"NAME","namespace":"NAMESPACE"}], or a comma list of [NAMESPACE/]NAME[@INTERFACE]
    unknown
      annotation k8s.v1.cni.cncf.io/networks: element 2: NetworkAttachmentDefinition ns/missing does not exist: create it, or correct the name
    two unknown
      annotation k8s.v1.cni.cncf.io/networks: element 1: NetworkAttachmentDefinition ns/missing does not exist: create it, or correct the name; annotation k8s.v1.cni.cncf.io/networks: element 2: NetworkAttachmentDefinition ns/gone does not exist: create it, or correct the name
    invalid nad
      annotation k8s.v1.cni.cncf.io/networks: element 1: NetworkAttachmentDefinition ns/broken: its annotation k8s.v1.cni.cncf.io/resourceName: "../secrets" is not a resource name: its prefix must start and end with a lower-case letter or digit, on each side of every dot
    "#);
}

#[test]
fn ignored_networks_that_are_not_a_list() {
    let mut pod = pod("vf");
    pod["metadata"]["annotations"][annotation::IGNORE_NETWORKS] = json!("vf;cx6");
    let (code, message) = refusal(&pod);
    let start =
        "annotation kubevirt-sriov.io/ignore-networks: \"vf;cx6\" is not a list of networks (element 1: ";
    assert!(code == 422 && message.starts_with(start), "{message}");
}

#[test]
fn a_long_name_does_not_make_a_long_message() {
    let (_, message) = refusal(&pod(&"a".repeat(1 << 20)));
    assert!(message.contains("is 1048576 characters long, at most 63 are allowed"), "{message}");
    assert!(message.len() < 400, "{message}");
}

#[rstest]
#[case::none(json!([]), "the pod has no containers")]
#[case::absent(json!(null), "the pod has no containers")]
#[case::no_compute(json!([{"name": "web"}]), "has no container named compute")]
fn pods_without_a_target(#[case] containers: Value, #[case] part: &str) {
    let mut pod = pod("vf");
    pod["spec"]["containers"] = containers;
    let (code, message) = refusal(&pod);
    assert_eq!(code, 422);
    assert!(message.contains(part), "{message}");
}

#[rstest]
#[case::half("500m")]
#[case::negative("-1")]
#[case::words("two")]
fn quantities(#[case] quantity: &str) {
    let mut pod = pod("vf");
    pod["spec"]["containers"][0]["resources"] = json!({"limits": {"intel.com/sriov_vfio": quantity}});
    let (code, message) = refusal(&pod);
    assert_eq!(code, 422);
    let expected = format!(
        "container \"compute\": resources.limits: intel.com/sriov_vfio: \"{quantity}\" is not a whole number of \
         devices: write one, or remove it so that the webhook adds it"
    );
    assert_eq!(message, expected);
}

#[test]
fn pods_that_cannot_be_read_do_not_pass() {
    let cases = [
        ("containers no list", "/spec/containers", json!("compute")),
        ("null container", "/spec/containers/0", json!(null)),
        ("annotations no map", "/metadata/annotations", json!([1])),
        ("annotation no text", "/metadata/annotations/k8s.v1.cni.cncf.io~1networks", json!(7)),
        ("no object", "", json!("pod")),
        ("quantity no quantity", "/spec/containers/0/resources", json!({"limits": {"cpu": []}})),
    ];
    let told = cases.map(|(name, pointer, value)| {
        let mut pod = pod("vf");
        *pod.pointer_mut(pointer).unwrap() = value;
        let (code, message) = refusal(&pod);
        assert_eq!(code, 400, "{name}");
        format!("{name}\n  {message}")
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    containers no list
      the pod in the review cannot be read: invalid type: string "compute", expected a sequence at line 1 column 332; correct the field at that place
    null container
      the pod in the review cannot be read: invalid type: null, expected struct Container at line 1 column 328; correct the field at that place
    annotations no map
      the pod in the review cannot be read: invalid type: integer `1`, expected a string at line 1 column 190; correct the field at that place
    annotation no text
      the pod in the review cannot be read: invalid type: integer `7`, expected a string at line 1 column 220; correct the field at that place
    no object
      the pod in the review cannot be read: invalid type: string "pod", expected struct Pod at line 1 column 166; correct the field at that place
    quantity no quantity
      the pod in the review cannot be read: invalid type: sequence, expected a quantity at line 1 column 373; correct the field at that place
    "#);
}

#[rstest]
#[case::null_object("/request/object", json!(null), 400, "has no object: request.object is empty")]
#[case::other_kind("/request/kind", json!({"group": "apps", "version": "v1", "kind": "Deployment"}), 400, r#"the review is about "apps/v1 Deployment", not about a pod"#)]
#[case::no_kind("/request/kind", json!(null), 400, "the review is about nothing known, not about a pod")]
#[case::v1beta1("/apiVersion", json!("admission.k8s.io/v1beta1"), 400, r#"version "admission.k8s.io/v1beta1" is not supported: set admissionReviewVersions to ["v1"]"#)]
fn reviews_that_are_answered(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] code: u16,
    #[case] part: &str,
) {
    let mut review = review(&pod("vf"));
    *review.pointer_mut(pointer).unwrap() = value;
    let response = respond(review.to_string().as_bytes(), &Options::default()).unwrap();
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("3f0c7d2e"), &json!(false)));
    assert_eq!(response["status"]["code"], code);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains(part), "{message}");
}

#[test]
fn bodies_that_are_no_review() {
    let cases = [
        ("empty", ""),
        ("not json", "pods"),
        (
            "truncated",
            r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","#,
        ),
        ("list", "[]"),
        ("null", "null"),
        ("a pod", r#"{"apiVersion":"v1","kind":"Pod"}"#),
        ("other group", r#"{"apiVersion":"v1","kind":"AdmissionReview"}"#),
        ("no request", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#),
        ("null request", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#),
        ("no uid", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}"#),
    ];
    let told = cases.map(|(name, body)| {
        format!("{name}\n  {}", respond(body.as_bytes(), &Options::default()).unwrap_err())
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    empty
      the body is not an AdmissionReview: EOF while parsing a value at line 1 column 0; this address takes what kube-apiserver posts to a webhook
    not json
      the body is not an AdmissionReview: expected value at line 1 column 1; this address takes what kube-apiserver posts to a webhook
    truncated
      the body is not an AdmissionReview: EOF while parsing a value at line 1 column 82; this address takes what kube-apiserver posts to a webhook
    list
      the body is not an AdmissionReview: invalid length 2, expected struct Envelope with 3 elements at line 1 column 2; this address takes what kube-apiserver posts to a webhook
    null
      the body is not an AdmissionReview: invalid type: null, expected struct Envelope at line 1 column 4; this address takes what kube-apiserver posts to a webhook
    a pod
      the body is "v1" "Pod", not admission.k8s.io/v1 AdmissionReview
    other group
      the body is "v1" "AdmissionReview", not admission.k8s.io/v1 AdmissionReview
    no request
      the AdmissionReview has no request: kube-apiserver always sends one
    null request
      the AdmissionReview has no request: kube-apiserver always sends one
    no uid
      the AdmissionReview has no request.uid: there is nothing to answer to
    "#);
}

#[rstest]
#[case::deep(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "the body is not an AdmissionReview: ")]
fn bodies_that_are_no_review_at_length(#[case] body: &str, #[case] part: &str) {
    let message = respond(body.as_bytes(), &Options::default()).unwrap_err();
    assert!(message.contains(part), "{message}");
}

/// A review that has `value` in a place that no decision depends on.
fn review_with(value: &[u8]) -> Vec<u8> {
    let review = review(&pod("vf")).to_string();
    let (before, after) = review.split_once(r#""options":"#).unwrap();
    [before.as_bytes(), br#""unused":"#, value, br#","options":"#, after.as_bytes()].concat()
}

#[rstest]
#[case::escapes(br#"{"a\"\\\u00e4\ud83d\ude00":"\/\b\f\n\r\t"}"#)]
#[case::numbers(b"[0, -0, 1.25e+7, 3E-2, 123456789012345678901234567890]")]
#[case::brackets_in_a_string(br#"["]}", "[{\"", "\\"]"#)]
#[case::deep(&[b"[".repeat(100_000), b"]".repeat(100_000)].concat())]
fn json_that_no_decision_needs_is_skipped(#[case] value: &[u8]) {
    let response = respond(&review_with(value), &Options::default()).unwrap();
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
}

#[rstest]
#[case::list_closed_as_an_object(br#"["a"}"#, "expected `,` or `]`")]
#[case::comma_at_the_end(br#"["a",]"#, "expected value")]
#[case::no_colon(br#"{"a""b"}"#, "expected `:`")]
#[case::unknown_escape(br#""\x""#, "invalid escape")]
#[case::control_character(b"\"\x1f\"", "control character")]
#[case::leading_zero(b"01", "invalid number")]
#[case::half_a_word(b"tru", "expected ident")]
#[case::invalid_utf_8(b"\"\xff\"", "invalid utf-8 sequence of 1 bytes from index")]
fn a_body_that_is_not_json_is_refused_whatever_part_is_broken(#[case] value: &[u8], #[case] part: &str) {
    let message = respond(&review_with(value), &Options::default()).unwrap_err();
    assert!(
        message.starts_with("the body is not an AdmissionReview: ") && message.contains(part),
        "{message}"
    );
}

#[test]
fn a_field_that_is_there_twice_is_refused() {
    let body = review(&pod("vf")).to_string();
    let twice = body.replacen(r#""uid":"3f0c7d2e""#, r#""uid":"3f0c7d2e","uid":"other""#, 1);
    let message = respond(twice.as_bytes(), &Options::default()).unwrap_err();
    assert!(message.contains("duplicate field `uid`"), "{message}");

    let key = annotation::NETWORKS;
    let twice = body.replacen(&format!(r#""{key}":"#), &format!(r#""{key}":"bridge","{key}":"#), 1);
    let response = respond(twice.as_bytes(), &Options::default()).unwrap();
    assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(400)));
}

#[test]
fn bytes_that_are_no_utf_8_are_refused() {
    assert!(respond(b"{\"apiVersion\":\"\xff\"}", &Options::default()).is_err());
}
