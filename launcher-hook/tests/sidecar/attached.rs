//! What the server does until Multus has said what it attached. The kubelet fills the file some seconds after the
//! pod has started.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tonic::Code;

use crate::Server;
use crate::harness::{Process, fixture, program, text, wait_until};

const ONLY_THE_POD: &str = r#"[{"name":"podnet","interface":"eth0","default":true}]"#;

fn kubevirt(name: &str) -> String {
    fs::read_to_string(fixture("kubevirt").join(name)).unwrap()
}

/// A server that can decide by the variables, with `status` as the pod's network-status.
fn server(status: &Path) -> Server {
    let environ = status.with_file_name("environ");
    fs::write(&environ, "PCIDEVICE_INTEL_COM_SRIOV_VFIO=0000:01:10.4,0000:01:10.2").unwrap();
    let folder = status.parent().unwrap().join("sriov");
    let process = Process::start(
        program()
            .args([
                "serve",
                "--verify",
                "off",
                "--log-level",
                "warn",
                "--assign",
                "multus",
                "--network-info",
                "/none",
            ])
            .arg("--socket-dir")
            .arg(&folder)
            .arg("--environ")
            .arg(&environ)
            .arg("--network-status")
            .arg(status),
    );
    let server = Server { process, folder: tempfile::tempdir_in(status.parent().unwrap()).unwrap() };
    std::os::unix::fs::symlink(&folder, server.folder.path().join("sriov")).unwrap();
    wait_until("the socket answers", || crate::answers(&server.socket()));
    server
}

#[tokio::test]
async fn a_call_waits_until_multus_has_said_what_it_attached() {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("network-status");
    fs::write(&status, "").unwrap();
    let server = server(&status);
    let (vmi, domain) = (kubevirt("vmi.json"), kubevirt("binding-call-1.xml"));
    let mut call = Box::pin(server.define(vmi.as_bytes(), domain.as_bytes()));
    timeout(Duration::from_millis(500), &mut call).await.unwrap_err();
    // What does not need the answer does not wait for it.
    let without = vmi.replace(r#""sriov": {}"#, r#""bridge": {}"#);
    let unchanged = server.define(without.as_bytes(), domain.as_bytes()).await.unwrap();
    assert_eq!(text(&unchanged), domain);

    let listed = kubevirt("network-status.json").replace("device-info", "of-no-concern");
    fs::write(&status, listed).unwrap();
    let defined = timeout(Duration::from_secs(5), call).await.unwrap().unwrap();
    assert_eq!(text(&defined).matches("<hostdev mode=\"subsystem\"").count(), 2);
}

#[tokio::test]
async fn a_call_fails_once_multus_has_said_that_it_attached_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("network-status");
    let server = server(&status);
    let (vmi, domain) = (kubevirt("vmi.json"), kubevirt("binding-call-1.xml"));
    let call = server.define(vmi.as_bytes(), domain.as_bytes());
    let refused = async {
        sleep(Duration::from_millis(300)).await;
        fs::write(&status, ONLY_THE_POD).unwrap();
    };
    let (answer, ()) = tokio::join!(call, refused);
    let error = answer.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    let start = "Multus attached neither storage nor uplink: network-status names eth0 only; ";
    assert!(error.message().starts_with(start), "{error}");
}

/// virt-handler waits 20 seconds for virt-launcher: a refusal that comes later is lost.
#[tokio::test]
async fn a_call_is_refused_while_virt_handler_still_waits_for_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("network-status");
    let server = server(&status);
    let (vmi, domain) = (kubevirt("vmi.json"), kubevirt("binding-call-1.xml"));
    let call = timeout(Duration::from_secs(18), server.define(vmi.as_bytes(), domain.as_bytes()));
    let error = call.await.unwrap().unwrap_err();
    let start =
        "whether Multus has attached storage, uplink is not known: network-status is empty or absent so far";
    assert!(error.message().starts_with(start), "{error}");
}
