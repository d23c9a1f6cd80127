//! The `review` command as a user runs it, on the example and on mistakes.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use rstest::rstest;
use serde_json::Value;

fn review(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["review", "--networks", "examples"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn example() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/pod.yaml")).unwrap()
}

#[test]
fn the_readme_command_shows_the_table() {
    let output = review(&["examples/pod.yaml"], "");
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(stdout(&output), @r"
    default/virt-launcher-database-*: passes with changes
      SELECTION    NAD               RESOURCE
      networks[1]  default/storage   intel.com/sriov_vfio
      networks[2]  net-admin/uplink  intel.com/sriov_vfio
      networks[3]  default/backup    -
      RESOURCE              NEEDED  PRESENT  ADDED
      intel.com/sriov_vfio  2       0        2
    ");
}

#[test]
fn a_refusal_names_the_element_and_the_remedy() {
    let output = review(&["-"], &example().replace(r#""uplink""#, r#""uplnk""#));
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stdout(&output), @r"
    default/virt-launcher-database-*: denied
      SELECTION    NAD              RESOURCE
      networks[1]  default/storage  intel.com/sriov_vfio
      networks[2]  net-admin/uplnk  (no such NAD)
      networks[3]  default/backup   -
      annotation k8s.v1.cni.cncf.io/networks: element 2: NetworkAttachmentDefinition net-admin/uplnk does not exist: create it, or correct the name; did you mean net-admin/uplink?
    ");
}

#[test]
fn a_printed_pod_passes_as_it_is() {
    let printed = review(&["--output", "pod", "examples/pod.yaml"], "");
    let again = review(&["--output", "patch"], &stdout(&printed));
    assert_eq!((stdout(&again).as_str(), again.status.code()), ("[]\n", Some(0)));
}

#[test]
fn json_says_all_that_the_table_says() {
    let output = review(&["--output", "json", "examples/pod.yaml"], "");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    insta::assert_json_snapshot!(report, @r#"
    {
      "attachments": [
        {
          "annotation": "k8s.v1.cni.cncf.io/networks",
          "element": 1,
          "nad": "default/storage",
          "resources": [
            "intel.com/sriov_vfio"
          ]
        },
        {
          "annotation": "k8s.v1.cni.cncf.io/networks",
          "element": 2,
          "nad": "net-admin/uplink",
          "resources": [
            "intel.com/sriov_vfio"
          ]
        },
        {
          "annotation": "k8s.v1.cni.cncf.io/networks",
          "element": 3,
          "nad": "default/backup",
          "resources": []
        }
      ],
      "needs": [
        {
          "added": 2,
          "holders": [],
          "needed": 2,
          "present": 0,
          "resource": "intel.com/sriov_vfio"
        }
      ],
      "outcome": "patched",
      "patch": [
        {
          "op": "add",
          "path": "/spec/containers/0/resources/limits/intel.com~1sriov_vfio",
          "value": "2"
        },
        {
          "op": "add",
          "path": "/spec/containers/0/resources/requests/intel.com~1sriov_vfio",
          "value": "2"
        }
      ],
      "pod": "default/virt-launcher-database-*",
      "warnings": []
    }
    "#);
}

#[test]
fn several_pods_and_reviews_come_in_their_order() {
    let fixture = |name| {
        std::fs::read_to_string(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let input = format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"1","namespace":"ns","operation":"DELETE"}}}}
           {}{}"#,
        fixture("virt-launcher-pod.json"),
        fixture("virt-launcher-pod.legacy-injected.json")
    );
    let nads = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/nads.yaml");
    let output = review(&["--on-unresolved", "warn", "--output", "json"], &input);
    assert_eq!(stdout(&output).lines().count(), 3, "{}", stderr(&output));
    // The later of two flags of one name would be an error; the fixtures' NADs are read by a call of its own.
    let output = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
        .args(["review", "--networks", nads, "--output", "patch"])
        .args(["virt-launcher-pod.json", "virt-launcher-pod.legacy-injected.json"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
        .output()
        .unwrap();
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(r#""value":"2""#), "{lines:?}");
    assert_eq!(lines[1], "[]");
}

#[rstest]
#[case::nothing(&[], "", "no pods in the input")]
#[case::virtual_machine(&["examples/vmi.yaml"], "", "examples/vmi.yaml: document 1: there is a virtual machine among the pods, and the webhook reviews its pod: kubectl get pod")]
#[case::other_kind(&[], r#"{"apiVersion":"v1","kind":"Service"}"#, r#"standard input: document 1: there is a "Service" among the pods"#)]
#[case::folder(&["examples"], "", "examples: is a folder; name its files")]
#[case::podnetinfo_of_nobody(&["--podnetinfo", "examples/pod.yaml"], "", "--podnetinfo is for pods other than virt-launcher pods: add --scope all-pods")]
#[case::helper_without_image(&["--launcher-hook", "compute", "examples/pod.yaml"], "", "name it with --launcher-hook-image, such as ghcr.io/kubevirt-sriov/launcher-hook:")]
#[case::missing_file(&["nowhere.yaml"], "", "nowhere.yaml: No such file")]
#[case::no_yaml(&[], "a: [", "standard input: is not YAML")]
#[case::review_without_request(&[], r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#, "standard input: document 1: the AdmissionReview has no request")]
#[case::unknown_flag(&["--frobnicate"], "", "unexpected argument '--frobnicate'")]
fn what_cannot_be_read_is_exit_status_2(#[case] arguments: &[&str], #[case] input: &str, #[case] part: &str) {
    let output = review(arguments, input);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains(part), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

/// A person's command, somewhere without a kubeconfig, and what it says in full.
#[rstest]
#[case::networks_of_nowhere(
    &["review", "examples/pod.yaml"],
    "sriov-webhook review: no networks: name a file or a folder of NADs with --networks, or use --from-cluster\n"
)]
#[case::networks_that_are_not_there(
    &["review", "--networks", "nope", "examples/pod.yaml"],
    "sriov-webhook review: --networks nope: does not exist; name a file or a folder of NADs\n"
)]
#[case::review_of_no_cluster(
    &["review", "--from-cluster"],
    "sriov-webhook review: no cluster: there is no ~/.kube/config; name a kubeconfig with --kubeconfig or KUBECONFIG\n"
)]
#[case::doctor_of_no_cluster(
    &["doctor"],
    "sriov-webhook doctor: no cluster: there is no ~/.kube/config; name a kubeconfig with --kubeconfig or KUBECONFIG\n"
)]
fn what_is_missing_is_said_once(#[case] arguments: &[&str], #[case] sentence: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(arguments)
        .env("HOME", "/nowhere")
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), sentence));
}

/// `review` of a pod with these networks' file.
fn review_with(nads: &str, pod: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("nads.yaml"), nads).unwrap();
    std::fs::write(path("pod.yaml"), pod).unwrap();
    Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
        .args(["review", "--networks", &path("nads.yaml"), &path("pod.yaml")])
        .args(arguments)
        .output()
        .unwrap()
}

const NAD: &str = "\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: uplink
  namespace: shop
  annotations:
    k8s.v1.cni.cncf.io/resourceName: example.com/port_2
";

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: virt-launcher-till
  namespace: shop
  labels: {kubevirt.io: virt-launcher}
  annotations: {k8s.v1.cni.cncf.io/networks: uplink}
spec:
  initContainers:
  - {name: mesh, restartPolicy: Always, resources: {limits: {example.com/port_2: 1}}}
  containers:
  - name: compute
    resources: {claims: [{name: gpu}]}
";

#[test]
fn the_table_shows_which_container_holds_what() {
    let output = review_with(NAD, POD, &[]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stdout(&output), @r#"
    shop/virt-launcher-till: denied
      SELECTION    NAD          RESOURCE
      networks[1]  shop/uplink  example.com/port_2
      RESOURCE            NEEDED  PRESENT    ADDED
      example.com/port_2  1       1 on mesh  1
      warning: container "compute" holds resource claims, and nothing says whether the device of NetworkAttachmentDefinition shop/uplink comes from one: its resource is requested, too. If it comes from a claim, annotate the NAD with kubevirt-sriov.io/device-source: resource-claim, or the pod or its VMI with kubevirt-sriov.io/ignore-networks: shop/uplink; if not, annotate the NAD with kubevirt-sriov.io/device-source: device-plugin
      container "mesh" requests example.com/port_2, and compute does not: the virtual machine needs it in compute; configure the other injector to leave virt-launcher pods alone
    "#);
    let report: Value = serde_json::from_str(&stdout(&review_with(NAD, POD, &["--output", "json"]))).unwrap();
    assert_eq!(
        report.pointer("/needs/0/holders").unwrap(),
        &serde_json::json!([{"container": "mesh", "count": 1}])
    );
    assert_eq!(report.pointer("/denial/reason").unwrap(), "wrong_container");
}

#[test]
fn claims_get_a_warning_until_somebody_says_whose_they_are() {
    let pod = POD.replace("example.com/port_2: 1", "cpu: 1");
    let patch = review_with(NAD, &pod, &["--output", "patch"]);
    assert!(
        stderr(&patch).contains("virt-launcher-till: warning: container \"compute\" holds"),
        "{}",
        stderr(&patch)
    );
    insta::assert_snapshot!(stdout(&review_with(NAD, &pod, &[])), @r#"
    shop/virt-launcher-till: passes with changes
      SELECTION    NAD          RESOURCE
      networks[1]  shop/uplink  example.com/port_2
      RESOURCE            NEEDED  PRESENT  ADDED
      example.com/port_2  1       0        1
      warning: container "compute" holds resource claims, and nothing says whether the device of NetworkAttachmentDefinition shop/uplink comes from one: its resource is requested, too. If it comes from a claim, annotate the NAD with kubevirt-sriov.io/device-source: resource-claim, or the pod or its VMI with kubevirt-sriov.io/ignore-networks: shop/uplink; if not, annotate the NAD with kubevirt-sriov.io/device-source: device-plugin
    "#);
    let claimed = format!("{NAD}    kubevirt-sriov.io/device-source: resource-claim\n");
    insta::assert_snapshot!(stdout(&review_with(&claimed, &pod, &[])), @r"
    shop/virt-launcher-till: passes as it is
      SELECTION    NAD          RESOURCE
      networks[1]  shop/uplink  (from a resource claim)
    ");
    let ignoring =
        pod.replace("networks: uplink", "networks: uplink, kubevirt-sriov.io/ignore-networks: uplink");
    insta::assert_snapshot!(stdout(&review_with(NAD, &ignoring, &[])), @r"
    shop/virt-launcher-till: passes as it is
      SELECTION    NAD          RESOURCE
      networks[1]  shop/uplink  (ignored)
    ");
}

#[rstest]
#[case::utf_16(
    "\u{feff}",
    true,
    "is not UTF-8 text (it starts like UTF-16, as PowerShell's > writes it): save it as UTF-8\n"
)]
#[case::key_twice(
    "kind: Pod\nkind: Pod\n",
    false,
    "is not YAML: error: line 2 column 1: the key \"kind\" is given twice: remove one\n"
)]
fn files_that_cannot_be_read_are_told_why(#[case] text: &str, #[case] utf_16: bool, #[case] part: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pod.yaml");
    let bytes = if utf_16 {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    } else {
        text.as_bytes().to_vec()
    };
    std::fs::write(&file, &bytes).unwrap();
    let by_name = review(&[file.to_str().unwrap()], "");
    assert_eq!(by_name.status.code(), Some(2));
    assert!(stderr(&by_name).contains(part), "{}", stderr(&by_name));
}

#[rstest]
#[case::slip(
    "--asign=multus",
    "--launcher-hook-argument: \"--asign=multus\" is not a flag that can be set for launcher-hook: use --assign"
)]
#[case::value(
    "--assign=mutlus",
    "--launcher-hook-argument: --assign: \"mutlus\" is not a valid value: use refuse, multus, in-order"
)]
fn arguments_that_the_helper_does_not_take_are_refused_at_once(
    #[case] argument: &str,
    #[case] sentence: &str,
) {
    for command in ["review", "serve"] {
        let output = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
            .args([command, "--networks", "examples", "--launcher-hook-argument", argument])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(stderr(&output).contains(sentence), "{command}: {}", stderr(&output));
    }
}
