use super::*;
use rstest::rstest;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

const PS: &[u8] = b"107 4242 Sl 0:00 /usr/bin/virt-launcher PATH=/bin PCIDEVICE_A_B=0000:01:10.0\n";

#[rstest]
#[case::ps(PS, false)]
#[case::describe(b"    PCIDEVICE_A_B:  0000:01:10.0\n", false)]
#[case::json(br#"{"PCIDEVICE_A_B":"0000:01:10.0"}"#, false)]
#[case::json_with_an_equals_sign(br#"{"A":"x=y","PCIDEVICE_A_B":"0000:01:10.0"}"#, false)]
#[case::yaml(b"- name: PCIDEVICE_A_B\n  value: 0000:01:10.0\n", false)]
#[case::another_file(b"<domain/>\n", false)]
#[case::utf_16(b"\xff\xfeP\0C\0I\0=\x001\0", true)]
fn a_file_of_another_form_is_refused(#[case] bytes: &[u8], #[case] is_utf_16: bool) {
    let error = checked_variables(Path::new("pod.txt"), bytes).unwrap_err().to_string();
    let start = "--environ pod.txt: no line of it is NAME=VALUE with a name PCIDEVICE_...: write it with kubectl exec \
                 POD -c compute -- env > pod.env";
    assert!(error.starts_with(start), "{error}");
    assert_eq!(error.contains("UTF-16"), is_utf_16);
}

/// A pod without devices has variables as well, and an emptied environment none.
#[rstest]
#[case::no_device(b"HOME=/\nPATH=/bin\n", 2)]
#[case::empty(b"\n", 0)]
fn a_pod_without_devices_has_none(#[case] bytes: &[u8], #[case] count: usize) {
    assert_eq!(checked_variables(Path::new("pod.env"), bytes).unwrap().len(), count);
}

#[rstest]
#[case::nothing(r#"{"interfaces":null}"#, Some(" (no device)"))]
#[case::names_only(r#"{"interfaces":[{"network":"a"}]}"#, Some(" (no device)"))]
#[case::a_device(r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci"}}]}"#, None)]
fn sources_that_say_nothing(#[case] network_info: &str, #[case] silent: Option<&str>) {
    let arguments = SourceArguments { environ: None, ..arguments(Path::new("/f")) };
    let sources = Sources {
        variables: vec![pair("PCIDEVICE_A_B", "0000:01:10.0")],
        network_info: Some(network_info.to_owned()),
        ..Sources::default()
    };
    let expected: Vec<_> =
        silent.iter().map(|lack| format!("--network-info /f/network-info{lack}")).collect();
    assert_eq!(sources.silent(&arguments), expected);
}

fn arguments(folder: &Path) -> SourceArguments {
    SourceArguments {
        network_info: folder.join("network-info"),
        environ: Some(folder.join("environ")),
        networks_annotation: None,
        network_status: Some(folder.join("network-status")),
        device_report: None,
        claims: ClaimArguments { claim_metadata: PathBuf::from("/nowhere") },
    }
}

#[test]
fn absent_and_empty_files_of_the_downward_api_are_not_known_yet() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("environ"), "A=1").unwrap();
    fs::write(folder.path().join("network-status"), "\n").unwrap();
    let sources = arguments(folder.path()).read().unwrap();
    assert_eq!(sources.variables, [pair("A", "1")]);
    assert_eq!((&sources.network_info, sources.network_status.as_deref()), (&None, Some("")));
    let info = arguments(folder.path()).network_info;
    let place = |option: &str, path: &Path| format!("{option} {}", path.display());
    let environ = folder.path().join("environ");
    let silent = [
        place("--environ", &environ) + " (no PCIDEVICE_ variable)",
        place("--network-info", &info) + " (absent or empty)",
    ];
    assert_eq!(sources.silent(&arguments(folder.path())), silent);
}

#[rstest]
#[case::absent(None, None)]
#[case::not_filled_yet(Some(""), Some(""))]
#[case::filled(Some("[]"), Some("[]"))]
fn network_status_beside_network_info_counts(#[case] file: Option<&str>, #[case] expected: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("environ"), "A=1").unwrap();
    if let Some(text) = file {
        fs::write(folder.path().join("network-status"), text).unwrap();
    }
    let beside = SourceArguments { network_status: None, ..arguments(folder.path()) };
    assert_eq!(beside.read().unwrap().network_status.as_deref(), expected);
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "[{}]").unwrap();
    let named = SourceArguments { network_status: Some(elsewhere), ..beside };
    assert_eq!(named.read().unwrap().network_status.as_deref(), Some("[{}]"));
}

#[rstest]
#[case::environ("environ", "--environ: cannot read ")]
#[case::networks_annotation("networks-annotation", "--networks-annotation: cannot read ")]
fn a_file_that_was_asked_for_has_to_be_there(#[case] absent: &str, #[case] message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = SourceArguments {
        networks_annotation: Some(folder.path().join("networks-annotation")),
        ..arguments(folder.path())
    };
    for name in ["environ", "networks-annotation"] {
        if name != absent {
            fs::write(folder.path().join(name), "").unwrap();
        }
    }
    let error = arguments.read().unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
}

#[test]
fn a_stripped_environment_is_made_up_from_process_1() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("1")).unwrap();
    fs::write(folder.path().join("1/environ"), "PCIDEVICE_A_B=0000:01:10.0\0").unwrap();
    let arguments = SourceArguments { environ: None, ..arguments(folder.path()) };
    let sources = arguments.read_stripped(folder.path()).unwrap();
    assert_eq!(sources.variables, [pair("PCIDEVICE_A_B", "0000:01:10.0")]);
}
