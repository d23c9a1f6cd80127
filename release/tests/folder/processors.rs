//! The programs of both processors, run: the foreign ones by QEMU's user-mode emulator. They must say the same.

use std::process::{Output, Stdio};

use rstest::rstest;

use super::*;

/// A command that runs a program here, whatever processor it is for.
fn on(architecture: &str, program: &Path) -> Command {
    let emulator = match (std::env::consts::ARCH, architecture) {
        ("x86_64", "arm64") => "qemu-aarch64-static",
        ("aarch64", "amd64") => "qemu-x86_64-static",
        _ => return Command::new(program),
    };
    let mut command = Command::new(emulator);
    command.arg(program);
    command
}

fn run(architecture: &str, program: &str, arguments: &[&str]) -> Output {
    let (_place, inside) = archive(program, architecture);
    on(architecture, &inside.join(program))
        .args(arguments)
        .current_dir(sources())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} for {architecture}: {error} (Debian: qemu-user-static)"))
}

const FIXTURES: &str = "launcher-hook/tests/fixtures";

#[rstest]
#[case::version_of_the_webhook("sriov-webhook", &["--version"], 0, VERSION)]
#[case::version_of_the_plugin("kubectl-sriov", &["--version"], 0, VERSION)]
#[case::completion_of_the_plugin("kubectl-sriov", &["__complete", "doc"], 0, "doctor")]
#[case::the_plugin_without_a_cluster("kubectl-sriov", &["doctor"], 2, "kubectl sriov doctor: no cluster: ")]
#[case::version_of_the_helper("launcher-hook", &["--version"], 0, VERSION)]
#[case::help_of_the_webhook("sriov-webhook", &["help", "serve"], 0, "--networks")]
#[case::help_of_the_helper("launcher-hook", &["help", "exec"], 0, "--socket-dir")]
#[case::a_pod_as_a_table("sriov-webhook", &["review", "--networks", "examples", "examples/pod.yaml"], 0, "intel.com/sriov_vfio  2")]
#[case::a_pod_as_a_patch("sriov-webhook", &["review", "--networks", "examples", "--output", "patch", "examples/pod.yaml"], 0, "/spec/containers/0/resources")]
#[case::a_pod_that_is_denied("sriov-webhook", &["review", "--networks", "webhook/tests/fixtures/nads.yaml", "examples/pod.yaml"], 1, "default/storage")]
#[case::a_file_that_is_absent("sriov-webhook", &["review", "--networks", "nope", "examples/pod.yaml"], 2, "--networks nope")]
#[case::a_domain(
    "launcher-hook",
    &["define", "--verify", "off", "--vmi", "VMI", "--domain", "DOMAIN", "--network-info", "NETWORK-INFO"],
    0,
    "<hostdev type=\"pci\"",
)]
#[case::a_vmi_that_is_not_json("launcher-hook", &["define", "--verify", "off", "--vmi", "DOMAIN", "--domain", "DOMAIN"], 1, "the VMI cannot be read")]
#[case::a_wrong_flag("launcher-hook", &["define", "--nope"], 2, "--nope")]
fn say_the_same(#[case] program: &str, #[case] arguments: &[&str], #[case] status: i32, #[case] part: &str) {
    let file = |name: &str| format!("{FIXTURES}/{name}");
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| match *argument {
            "VMI" => file("vmi.json"),
            "DOMAIN" => file("domain.no-hostdev.xml"),
            "NETWORK-INFO" => file("network-info.json"),
            other => other.to_owned(),
        })
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [amd64, arm64] = ARCHITECTURES.map(|architecture| said(&run(architecture, program, &arguments)));
    assert!(amd64.contains(part), "no '{part}' in: {amd64}");
    assert!(amd64.starts_with(&format!("status {status}\n")), "{amd64}");
    assert_eq!(amd64, arm64);
}

/// Status and output of a program, without the times of log lines.
fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = errors
        .lines()
        .map(|line| match line.split_once("Z ") {
            Some((time, rest)) if time.starts_with(|c: char| c.is_ascii_digit()) => rest,
            _ => line,
        })
        .collect();
    let status = output.status.code().unwrap_or_else(|| panic!("{output:?}"));
    format!("status {status}\n{}\n{}", String::from_utf8_lossy(&output.stdout), errors.join("\n"))
}
