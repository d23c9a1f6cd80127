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
      RESOURCE              NEEDED  THERE  ADDED
      intel.com/sriov_vfio  2       0      2
    ");
}

#[test]
fn a_refusal_names_the_element_and_the_remedy() {
    let output = review(&["-"], &example().replace(r#""uplink""#, r#""uplnk""#));
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stdout(&output), @r"
    default/virt-launcher-database-*: refused
      SELECTION    NAD              RESOURCE
      networks[1]  default/storage  intel.com/sriov_vfio
      networks[2]  net-admin/uplnk  (no such NAD)
      networks[3]  default/backup   -
      annotation k8s.v1.cni.cncf.io/networks: element 2: NetworkAttachmentDefinition net-admin/uplnk does not exist: create it, or correct the name
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
#[case::virtual_machine(&["examples/vmi.yaml"], "", "examples/vmi.yaml: there is a virtual machine among the pods, and the webhook reviews its pod: kubectl get pod")]
#[case::other_kind(&[], r#"{"apiVersion":"v1","kind":"Service"}"#, r#"standard input: there is a "Service" among the pods"#)]
#[case::folder(&["examples"], "", "examples: is a folder; name its files")]
#[case::podnetinfo_of_nobody(&["--podnetinfo", "examples/pod.yaml"], "", "--podnetinfo is for pods that are no virt-launcher pods: add --scope all-pods")]
#[case::helper_without_image(&["--launcher-hook", "compute", "examples/pod.yaml"], "", "name it with --launcher-hook-image, such as ghcr.io/kubevirt-sriov/launcher-hook:")]
#[case::missing_file(&["nowhere.yaml"], "", "nowhere.yaml: No such file")]
#[case::no_yaml(&[], "a: [", "standard input: is no YAML")]
#[case::review_without_request(&[], r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#, "standard input: the AdmissionReview has no request")]
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
    "sriov-webhook review: no cluster: name a kubeconfig with --kubeconfig: failed to read kubeconfig from \
     '\"/nowhere/.kube/config\"': No such file or directory (os error 2)\n"
)]
#[case::doctor_of_no_cluster(
    &["doctor"],
    "sriov-webhook doctor: no cluster: name a kubeconfig with --kubeconfig: failed to read kubeconfig from \
     '\"/nowhere/.kube/config\"': No such file or directory (os error 2)\n"
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
