//! `kubectl sriov`: the real kubectl finds the plugin, runs it and asks it for completions.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tests::api_server::{Output, Sandbox, programs};

/// A folder with what the release's archive has.
fn plugins(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.folder().join("plugins");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(programs().join("kubectl-sriov"), folder.join("kubectl-sriov")).unwrap();
    let complete = folder.join("kubectl_complete-sriov");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../release/kubectl_complete-sriov"), &complete).unwrap();
    fs::set_permissions(&complete, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn kubectl_runs_and_completes_it() {
    let sandbox = Sandbox::new("kubectl-plugin");
    sandbox.apply_network("storage", "intel.com/sriov_vfio");
    let (kubectl, plugins) = (sandbox.kubectl(), plugins(&sandbox));
    let sriov = |arguments: &[&str]| -> Output {
        kubectl.run_with_plugins(&plugins, &[&["sriov"], arguments].concat())
    };

    let listed = kubectl.run_with_plugins(&plugins, &["plugin", "list", "--name-only"]).expect_success();
    assert!(listed.lines().any(|line| line == "kubectl-sriov"), "{listed}");

    let doctor = sriov(&["doctor", "--only", "nad", "--context", "test"]);
    assert!(doctor.stdout.contains("nad"), "{doctor:?}");
    assert!(!doctor.stdout.is_empty() && doctor.stderr.is_empty(), "{doctor:?}");

    let nowhere = sriov(&["doctor", "--context", "nowhere"]);
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    let said = "kubectl sriov doctor: the kubeconfig has no context \"nowhere\": choose one of test with --context\n";
    assert_eq!(nowhere.stderr, said);

    let none = sriov(&["review", "--from-cluster", "-n", sandbox.namespace()]);
    assert_eq!(
        (none.code, none.stderr.starts_with("kubectl sriov review: there are no virt-launcher pods")),
        (Some(0), true),
        "{none:?}"
    );

    let complete = |words: &[&str]| -> String {
        kubectl.run_with_plugins(&plugins, &[&["__complete", "sriov"], words].concat()).expect_success()
    };
    let commands = complete(&[""]);
    for command in ["doctor", "map", "review", "certs"] {
        assert!(commands.contains(&format!("{command}\t")), "{commands}");
    }
    assert!(complete(&["doctor", "--scope", "v"]).starts_with("virt-launcher\t"));
    assert_eq!(complete(&["doctor", "--context", "te"]), "test\n:4\n");
}
