//! What the server does not do, and what it says then.

use rstest::rstest;
use tonic::Code;

use crate::harness::{self, BARE_DOMAIN, Process, SOCKET, VMI, answers, fixture, program, wait_until};
use crate::protocol::info::InfoParams;
use crate::protocol::plugins::domain_hook_service_client::DomainHookServiceClient;
use crate::protocol::plugins::{MutateDomainRequest, SidecarContext};
use crate::{Server, connect, define, large_domain};

/// What virt-launcher takes in one message.
const LIMIT: usize = 4 * 1024 * 1024;

#[rstest]
#[case::domain_type("xen", "Boot", r#"domain_type is "xen""#)]
#[case::context("libvirt", "Wedding", r#"invocation_context is "Wedding""#)]
#[tokio::test]
async fn a_plugin_call_of_an_unknown_kind_is_refused(
    #[case] domain_type: &str,
    #[case] context: &str,
    #[case] message: &str,
) {
    let server = Server::start();
    let request = MutateDomainRequest {
        domain_type: domain_type.to_owned(),
        domain: BARE_DOMAIN.as_bytes().to_vec(),
        vmi: VMI.as_bytes().to_vec(),
        sidecar_context: Some(SidecarContext { invocation_context: context.to_owned() }),
    };
    let status =
        DomainHookServiceClient::new(server.connect().await).mutate_domain(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with(message), "{status}");
}

/// Smaller than its hostdevs, so that the answer can be larger than the request.
const SMALL_VMI: &str = r#"{"metadata":{"name":"a","namespace":"b"},"spec":{"domain":{"devices":{"interfaces":[{"name":"sriov-net1","sriov":{}},{"name":"sriov-net2","sriov":{}}]}},"networks":[{"name":"sriov-net1","multus":{"networkName":"c"}},{"name":"sriov-net2","multus":{"networkName":"c"}}]}}"#;

/// Both limits of one message: the request's at the door, the answer's before it goes out.
#[rstest]
#[case::the_request_is_too_large(LIMIT, "message length too large")]
#[case::the_answer_is_too_large(LIMIT - BARE_DOMAIN.len() - SMALL_VMI.len() - 40, "virt-launcher takes messages of at most 4194304")]
#[tokio::test]
async fn an_oversized_domain_is_refused(#[case] padding: usize, #[case] message: &str) {
    let server = Server::start();
    let domain = large_domain(padding);
    let status = server.define(SMALL_VMI.as_bytes(), domain.as_bytes()).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(status.message().contains(message), "{status}");
    // The server is none the worse for it.
    server.define(VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap();
}

#[rstest]
#[case::truncated(VMI.as_bytes(), &BARE_DOMAIN.as_bytes()[..600], Code::InvalidArgument, "the domain")]
#[case::empty_domain(VMI.as_bytes(), b"", Code::InvalidArgument, "the domain is empty")]
#[case::doctype(VMI.as_bytes(), b"<!DOCTYPE domain><domain/>", Code::InvalidArgument, "DOCTYPE")]
#[case::no_utf_8(VMI.as_bytes(), b"<domain>\xff</domain>", Code::InvalidArgument, "the domain is not UTF-8 (byte 8)")]
#[case::domain_of_powershell(VMI.as_bytes(), b"\xff\xfe<\0", Code::InvalidArgument, "it is UTF-16, as PowerShell writes it")]
#[case::vmi_of_another_kind(b"{\"kind\":\"VirtualMachine\"}", BARE_DOMAIN.as_bytes(), Code::InvalidArgument, "it is a VirtualMachine; ")]
#[case::vmi_no_json(b"no json", BARE_DOMAIN.as_bytes(), Code::InvalidArgument, "the VMI cannot be read")]
#[case::vmi_no_utf_8(b"{\"\xff\":1}", BARE_DOMAIN.as_bytes(), Code::InvalidArgument, "the VMI is not UTF-8 (byte 2)")]
#[tokio::test]
async fn broken_input_is_refused_with_a_sentence(
    #[case] vmi: &[u8],
    #[case] domain: &[u8],
    #[case] code: Code,
    #[case] part: &str,
) {
    let server = Server::start();
    let status = server.define(vmi, domain).await.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(part), "{status}");
}

#[tokio::test]
async fn without_network_info_the_refusal_names_networks_and_addresses() {
    let server = Server::start_with(&["--network-info", "/nonexistent"]);
    let status = server.define(VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    for part in ["sriov-net1", "sriov-net2", "0000:65:02.1", "0000:65:02.3"] {
        assert!(status.message().contains(part), "{status}");
    }
}

#[tokio::test]
async fn devices_that_are_not_there_stop_the_start_where_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let info = fixture("network-info.json");
    let server = Server::start_with(&[
        "--network-info",
        info.to_str().unwrap(),
        "--sysfs",
        folder.path().to_str().unwrap(),
    ]);
    // `off` passes; the last of two options cannot be given twice, so `fail` has a server of its own.
    server.define(VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap();
    let directory = folder.path().join("second");
    let _second = Process::start(
        program()
            .args(["serve", "--verify", "fail", "--log-level", "error", "--socket-dir"])
            .arg(&directory)
            .arg("--network-info")
            .arg(&info)
            .arg("--sysfs")
            .arg(folder.path()),
    );
    wait_until("the socket answers", || answers(&directory.join(SOCKET)));
    let channel = connect(&directory.join(SOCKET)).await;
    let status = define(channel, VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().starts_with("VF 0000:65:02.1 does not exist"), "{status}");
}

#[tokio::test]
async fn an_unknown_service_is_unimplemented() {
    let server = Server::start();
    let mut grpc = tonic::client::Grpc::new(server.connect().await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<InfoParams, InfoParams>::default();
    let path = "/kubevirt.hooks.v9.Callbacks/OnDefineDomain".parse().unwrap();
    let status = grpc.unary(tonic::Request::new(InfoParams {}), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("kubevirt.hooks.v9.Callbacks"), "{status}");
}

#[test]
fn a_second_server_says_that_there_is_one() {
    let server = Server::start();
    let message =
        harness::fail(program().args(["serve", "--socket-dir"]).arg(server.folder.path().join("sriov")));
    assert!(message.contains("another program already answers on"), "{message}");
}
