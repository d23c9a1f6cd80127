//! The image as KubeVirt's network binding plugin: no argument but the image's own, nothing of the webhook's, and a VF
//! of a resource claim, which KubeVirt gives to the sidecar as well.

use crate::harness::{Process, SOCKET, answers, program, text, wait_until};
use crate::{BARE_DOMAIN, connect, define, found_by_virt_launcher};

/// What KubeVirt sends for a network that is a request of a claim.
const VMI: &str = r#"{"metadata":{"name":"a","namespace":"b"},"spec":{
    "domain":{"devices":{"interfaces":[{"name":"blue","binding":{"name":"sriov"}}]}},
    "networks":[{"name":"blue","resourceClaim":{"claimName":"vf","requestName":"first"}}],
    "resourceClaims":[{"name":"vf","resourceClaimTemplateName":"one-vf"}]}}"#;

#[tokio::test]
async fn it_needs_no_argument() {
    let image = include_str!("../../../release/Dockerfile");
    assert!(image.contains("ENTRYPOINT [\"/launcher-hook\"]\nCMD [\"serve\"]"), "{image}");
    // KubeVirt mounts this part of the folder that it shares with virt-launcher at the default of --socket-dir.
    let shared = tempfile::tempdir().unwrap();
    let own = shared.path().join("hook-sidecar-0");
    std::fs::create_dir(&own).unwrap();
    let _process = Process::start(
        program()
            .arg("serve")
            .env("CONTAINER_NAME", "hook-sidecar-0")
            .env("LAUNCHER_HOOK_SOCKET_DIR", &own)
            .env("LAUNCHER_HOOK_VERIFY", "off")
            .env("SRIOVNETWORK_PCI_ADDRESSES", "0000:3b:02.1")
            .env("SRIOVNETWORK_VF_DEVICE_0000_3b_02_1", "0000:3b:02.1"),
    );
    let socket = own.join(SOCKET);
    wait_until("the socket answers", || answers(&socket));
    assert_eq!(found_by_virt_launcher(shared.path()), std::slice::from_ref(&socket));
    let defined = define(connect(&socket).await, VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap();
    let defined = text(&defined);
    assert!(
        defined.contains("ua-sriov-blue") && defined.contains(r#"bus="0x3b" slot="0x02" function="0x1""#),
        "{defined}"
    );
}
