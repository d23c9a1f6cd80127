//! `define`, `onDefineDomain` and `libvirt-hook` as processes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions around the tests fail as the tests do"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod libvirt_hook;
#[path = "../tree/mod.rs"]
mod tree;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use harness::{BARE_DOMAIN, DOMAIN, PROGRAM, READ_BACK, VMI, fail, fixture, program, succeed, text};
use libvirt_hook::libvirt;
use rstest::rstest;
use tree::Machine;

fn define() -> Command {
    let mut command = program();
    command.args(["define", "--verify", "off", "--vmi"]).arg(fixture("vmi.json"));
    command
}

fn with_input(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A hook that has nothing to do does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The hostdevs of a domain: alias, source, guest address, boot order. Read by another parser than ours.
fn hostdevs(xml: &str) -> Vec<(String, String, Option<String>, Option<String>)> {
    let document = roxmltree::Document::parse(xml).unwrap();
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children().find(|child| child.has_tag_name(name)).map(|child| child.id())
    };
    let address = |node: roxmltree::Node<'_, '_>| {
        let digits = |name: &str| node.attribute(name).unwrap().trim_start_matches("0x").to_owned();
        format!("{}:{}:{}.{}", digits("domain"), digits("bus"), digits("slot"), digits("function"))
    };
    document
        .descendants()
        .filter(|node| node.has_tag_name("hostdev"))
        .map(|hostdev| {
            let get = |name| child(hostdev, name).map(|id| document.get_node(id).unwrap());
            let source = get("source").unwrap().first_element_child().unwrap();
            (
                get("alias").unwrap().attribute("name").unwrap().to_owned(),
                address(source),
                get("address").map(address),
                get("boot").map(|boot| boot.attribute("order").unwrap().to_owned()),
            )
        })
        .collect()
}

#[track_caller]
fn assert_fixture_devices(xml: &str) {
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        hostdevs(xml),
        [
            ("ua-sriov-sriov-net1".to_owned(), "0000:65:02.1".to_owned(), None, None),
            ("ua-sriov-sriov-net2".to_owned(), "0000:65:02.3".to_owned(), text("0000:07:00.0"), text("2")),
        ]
    );
}

/// The variables are in the other order on purpose.
#[test]
fn the_fixtures_give_each_network_its_own_vf() {
    let output = succeed(
        define()
            .arg("--domain")
            .arg(fixture("domain.no-hostdev.xml"))
            .arg("--environ")
            .arg(fixture("compute.env"))
            .arg("--network-info")
            .arg(fixture("network-info.json")),
    );
    assert_fixture_devices(text(&output.stdout));
    assert!(text(&output.stderr).contains("network-info"), "{output:?}");
}

/// What KubeVirt writes lacks a mode, and nothing else.
#[rstest]
#[case::as_kubevirt_writes_it(DOMAIN, "<hostdev type", "<hostdev mode=\"subsystem\" type")]
#[case::as_libvirt_reads_it_back(READ_BACK, "", "")]
fn a_domain_that_has_its_devices_comes_back(#[case] domain: &str, #[case] old: &str, #[case] new: &str) {
    let output = succeed(
        define()
            .args(["--domain", domain, "--environ"])
            .arg(fixture("compute.env"))
            .arg("--network-info")
            .arg(fixture("network-info.json")),
    );
    assert_eq!(text(&output.stdout), domain.replace(old, new));
}

#[test]
fn without_network_info_it_refuses_and_names_networks_and_addresses() {
    let message = fail(
        define()
            .args(["--domain", BARE_DOMAIN, "--network-info", "/nonexistent", "--environ"])
            .arg(fixture("compute.env")),
    );
    for part in ["sriov-net1", "sriov-net2", "0000:65:02.1", "0000:65:02.3", "--assign multus"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// The real node's variables, whose own order is the wrong one, and what Multus did there.
#[rstest]
#[case::multus("multus", ["0000:01:10.0", "0000:01:10.2"])]
#[case::in_order("in-order", ["0000:01:10.2", "0000:01:10.0"])]
fn assignments_of_the_real_node(#[case] assign: &str, #[case] addresses: [&str; 2]) {
    let output = succeed(
        define()
            .args([
                "--domain",
                BARE_DOMAIN,
                "--network-info",
                "/nonexistent",
                "--assign",
                assign,
                "--environ",
            ])
            .arg(fixture("node/compute.env"))
            .arg("--networks-annotation")
            .arg(fixture("node/networks-annotation.json")),
    );
    let hostdevs = hostdevs(text(&output.stdout));
    assert_eq!([&*hostdevs[0].1, &*hostdevs[1].1], addresses);
    assert_eq!(hostdevs[0].0, "ua-sriov-sriov-net1");
    // in-order is wrong here, and says that it may be.
    assert_eq!(text(&output.stderr).contains(" WARN "), assign == "in-order", "{output:?}");
}

/// The domain as KubeVirt 1.6 writes it on the real node: by the variable's own order, which is the wrong one.
#[rstest]
#[case::corrected("multus", ["0000:01:10.0", "0000:01:10.2"], "WARN network sriov-net1 had 0000:01:10.2 in")]
#[case::left_with_a_warning("refuse", ["0000:01:10.2", "0000:01:10.0"], "WARN only the domain says which device of")]
fn what_kubevirt_guessed(#[case] assign: &str, #[case] addresses: [&str; 2], #[case] warning: &str) {
    let place = |bus, slot, function| format!(r#"bus="0x{bus}" slot="0x{slot}" function="0x{function}""#);
    let domain = DOMAIN
        .replace(&place("65", "02", "1"), &place("01", "10", "2"))
        .replace(&place("65", "02", "3"), &place("01", "10", "0"));
    let output = succeed(
        define()
            .args(["--domain", &domain, "--network-info", "/nonexistent", "--assign", assign, "--environ"])
            .arg(fixture("node/compute.env")),
    );
    let hostdevs = hostdevs(text(&output.stdout));
    assert_eq!([&*hostdevs[0].1, &*hostdevs[1].1], addresses);
    assert!(text(&output.stderr).contains(warning), "{output:?}");
}

#[test]
fn the_own_environment_is_the_usual_source() {
    let output = program()
        .args([
            "define",
            "--verify",
            "off",
            "--network-info",
            "/nonexistent",
            "--vmi",
            VMI,
            "--domain",
            BARE_DOMAIN,
        ])
        .env("PCIDEVICE_INTEL_COM_SRIOV_VFIO", "0000:65:02.3,0000:65:02.1")
        .output()
        .unwrap();
    assert!(text(&output.stderr).contains("0000:65:02.1, 0000:65:02.3"), "{output:?}");
}

#[test]
fn as_kubevirts_shim_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("onDefineDomain");
    symlink(PROGRAM, &link).unwrap();
    let output = succeed(
        harness::program_at(&link)
            .env("LAUNCHER_HOOK_NETWORK_INFO", fixture("network-info.json"))
            .env("LAUNCHER_HOOK_VERIFY", "off")
            .args(["--vmi", VMI, "--domain", BARE_DOMAIN]),
    );
    assert_fixture_devices(text(&output.stdout));
}

#[test]
fn the_domain_from_standard_input_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("domain.xml");
    let mut command = define();
    command
        .args(["--domain", "-", "--network-info"])
        .arg(fixture("network-info.json"))
        .arg("--write")
        .arg(&file);
    let output = with_input(&mut command, BARE_DOMAIN);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_fixture_devices(&fs::read_to_string(file).unwrap());
}

#[test]
fn the_vmi_from_standard_input_beside_a_domain_with_a_byte_order_mark() {
    let domain = format!("\u{feff}{BARE_DOMAIN}");
    let mut command = program();
    command
        .args(["define", "--verify", "off", "--vmi", "-", "--domain", &domain, "--network-info"])
        .arg(fixture("network-info.json"));
    let output = with_input(&mut command, VMI);
    assert_fixture_devices(text(&output.stdout).trim_start_matches('\u{feff}'));
}

#[test]
fn one_standard_input_is_not_both() {
    let output = with_input(program().args(["define", "--vmi", "-", "--domain", "-"]), VMI);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("--vmi - and --domain - would share one standard input"), "{said}");
}

/// Called by another name, it does not tell to call it by that name and a subcommand.
#[test]
fn the_usage_is_that_of_the_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let output = libvirt(folder.path(), &Machine::new(), &["--nonsense"], "");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("Usage: launcher-hook libvirt-hook [OPTIONS] <GUEST>"), "{said}");
}

#[rstest]
#[case::no_such_domain(&["--domain", "/nonexistent.xml"], "--domain: cannot read /nonexistent.xml")]
#[case::truncated(&["--domain", "<domain><devices>"], "domain")]
#[case::no_such_environ(&["--domain", "<domain/>", "--environ", "/nonexistent"], "--environ: cannot read /nonexistent")]
fn what_cannot_be_read_is_named(#[case] arguments: &[&str], #[case] message: &str) {
    let said = fail(define().args(arguments));
    assert!(said.contains(message), "{said}");
}

#[test]
fn a_log_for_programs_is_json() {
    let message = fail(define().args(["--log-format", "json", "--domain", "<domain>"]));
    let line: serde_json::Value = serde_json::from_str(message.trim()).unwrap();
    assert_eq!(line["level"], "ERROR");
}

#[rstest]
#[case::off("off", true, "")]
#[case::warn("warn", true, "WARN VF 0000:65:02.1 does not exist")]
#[case::fail("fail", false, "ERROR VF 0000:65:02.1 does not exist")]
fn verification(#[case] mode: &str, #[case] passes: bool, #[case] says: &str) {
    let machine = Machine::with_card();
    let output = program()
        .args(["define", "--verify", mode, "--vmi", VMI, "--domain", BARE_DOMAIN, "--network-info"])
        .arg(fixture("network-info.json"))
        .args(machine.options())
        .output()
        .unwrap();
    assert_eq!(output.status.success(), passes);
    assert_eq!(output.stdout.is_empty(), !passes);
    assert!(text(&output.stderr).contains(says), "{output:?}");
    if says.is_empty() {
        assert!(!text(&output.stderr).contains("VF 0000"), "{output:?}");
    }
}

/// KubeVirt's own network of a resource claim, with this program as the binding plugin's sidecar.
#[test]
fn a_vf_of_a_resource_claim_is_that_of_its_request() {
    const CLAIMED: &str = r#"{"kind":"VirtualMachineInstance","metadata":{"namespace":"ns"},"spec":{
        "domain":{"devices":{"interfaces":[
            {"name":"blue","binding":{"name":"sriov"}},{"name":"green","binding":{"name":"sriov"}}]}},
        "networks":[
            {"name":"blue","resourceClaim":{"claimName":"vfs","requestName":"first"}},
            {"name":"green","resourceClaim":{"claimName":"vfs","requestName":"second"}}],
        "resourceClaims":[{"name":"vfs","resourceClaimTemplateName":"two-vfs"}]}}"#;
    let folder = tempfile::tempdir().unwrap();
    // Crossed: the first request has the second address.
    for (request, address) in [("first", "0000:65:02.3"), ("second", "0000:65:02.1")] {
        let metadata = folder.path().join("resourceclaimtemplates/vfs").join(request);
        fs::create_dir_all(&metadata).unwrap();
        let text = format!(
            r#"{{"apiVersion":"metadata.resource.k8s.io/v9"}}
               {{"apiVersion":"metadata.resource.k8s.io/v1alpha1","requests":[{{"name":"{request}","devices":[
                 {{"name":"vf","attributes":{{"resource.kubernetes.io/pciBusID":{{"string":"{address}"}}}}}}]}}]}}"#
        );
        fs::write(metadata.join("sriov.example.com-metadata.json"), text).unwrap();
    }
    let mut define = program();
    define.args(["define", "--verify", "off", "--vmi", CLAIMED, "--domain", BARE_DOMAIN, "--claim-metadata"]);
    let output = succeed(define.arg(folder.path()));
    let hostdevs: Vec<_> =
        hostdevs(text(&output.stdout)).into_iter().map(|(alias, address, ..)| (alias, address)).collect();
    let expected = [("ua-sriov-blue", "0000:65:02.3"), ("ua-sriov-green", "0000:65:02.1")];
    assert_eq!(hostdevs, expected.map(|(alias, address)| (alias.to_owned(), address.to_owned())));

    fs::remove_dir_all(folder.path().join("resourceclaimtemplates/vfs/second")).unwrap();
    let refusal = fail(define.arg("--log-level=error"));
    assert!(refusal.contains("no device for network green (known: blue): nothing names the device of request second of claim vfs"), "{refusal}");
}
