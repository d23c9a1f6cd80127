//! A client that does what virt-launcher does: finds the socket, asks Info, calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions around the tests fail as the tests do"
)]

mod attached;
mod binding_plugin;
mod ending;
mod filling;
#[path = "../harness/mod.rs"]
mod harness;
mod refusals;

use std::future::ready;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{BARE_DOMAIN, DOMAIN, Process, READ_BACK, SOCKET, VMI, answers, fixture, program, wait_until};
use hyper_util::rt::TokioIo;
use rstest::rstest;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

#[allow(unreachable_pub, missing_docs, clippy::all, reason = "generated")]
mod protocol {
    pub mod info {
        include!(concat!(env!("OUT_DIR"), "/client/kubevirt.hooks.info.rs"));
    }
    pub mod v1alpha1 {
        include!(concat!(env!("OUT_DIR"), "/client/kubevirt.hooks.v1alpha1.rs"));
    }
    pub mod v1alpha2 {
        include!(concat!(env!("OUT_DIR"), "/client/kubevirt.hooks.v1alpha2.rs"));
    }
    pub mod v1alpha3 {
        include!(concat!(env!("OUT_DIR"), "/client/kubevirt.hooks.v1alpha3.rs"));
    }
    pub mod plugins {
        include!(concat!(env!("OUT_DIR"), "/client/kubevirt.hooks.plugins.v1alpha1.rs"));
    }
}

use protocol::info::{InfoParams, info_client::InfoClient};
use protocol::plugins::domain_hook_service_client::DomainHookServiceClient;
use protocol::plugins::{MutateDomainRequest, SidecarContext};
use protocol::{v1alpha1, v1alpha2, v1alpha3};

/// A running server and the folder that KubeVirt calls `/var/run/kubevirt-hooks`.
struct Server {
    process: Process,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        Self::start_with(&["--network-info", fixture("network-info.json").to_str().unwrap()])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("sriov");
        let process = Process::start(
            program()
                .args(["serve", "--verify", "off", "--log-level", "warn", "--socket-dir"])
                .arg(&directory)
                .arg("--environ")
                .arg(fixture("compute.env"))
                .args(arguments),
        );
        let socket = directory.join(SOCKET);
        wait_until("the socket answers", || answers(&socket));
        Self { process, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("sriov").join(SOCKET)
    }

    async fn connect(&self) -> Channel {
        connect(&self.socket()).await
    }

    async fn define(&self, vmi: &[u8], domain: &[u8]) -> Result<Vec<u8>, Status> {
        define(self.connect().await, vmi, domain).await
    }
}

async fn connect(socket: &Path) -> Channel {
    over(UnixStream::connect(socket).await.unwrap()).await
}

async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Channel {
    // It connects once.
    let mut stream = Some(TokioIo::new(stream));
    let connector = move |_: Uri| ready(stream.take().ok_or(std::io::Error::from(ErrorKind::NotConnected)));
    // As virt-launcher: authority localhost, whatever the address.
    let localhost = Endpoint::from_static("http://localhost");
    localhost.connect_with_connector(tower::service_fn(connector)).await.unwrap()
}

async fn define(channel: Channel, vmi: &[u8], domain: &[u8]) -> Result<Vec<u8>, Status> {
    let parameters = v1alpha3::OnDefineDomainParams { domain_xml: domain.to_vec(), vmi: vmi.to_vec() };
    let mut client = v1alpha3::callbacks_client::CallbacksClient::new(channel);
    let answer = client.on_define_domain(parameters).await?;
    Ok(answer.into_inner().domain_xml)
}

/// The domain that the fixtures lead to.
fn defined() -> String {
    let output = harness::succeed(
        program()
            .args(["define", "--verify", "off", "--vmi", VMI, "--domain", BARE_DOMAIN, "--network-info"])
            .arg(fixture("network-info.json")),
    );
    let xml = String::from_utf8(output.stdout).unwrap();
    let addresses = [r#"slot="0x02" function="0x1""#, r#"slot="0x02" function="0x3""#];
    assert!(addresses.iter().all(|address| xml.contains(address)), "{xml}");
    xml
}

/// Walks the folders as virt-launcher's hook manager does: one level down, every file that is not a folder.
fn found_by_virt_launcher(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            for file in std::fs::read_dir(entry.path()).unwrap().map(Result::unwrap) {
                // As Go's ReadDir says it, also of a folder that is gone by now.
                if !file.file_type().unwrap().is_dir() {
                    found.push(file.path());
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn virt_launcher_finds_the_socket_and_asks_what_it_is() {
    let server = Server::start();
    assert_eq!(found_by_virt_launcher(server.folder.path()), [server.socket()]);
    let mut client = InfoClient::new(server.connect().await);
    let call = client.info(InfoParams {});
    // virt-launcher ends the pod after one second.
    let info = tokio::time::timeout(Duration::from_secs(1), call).await.unwrap().unwrap().into_inner();
    let points: Vec<_> = info.hook_points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(points, ["OnDefineDomain", "Shutdown"]);
    assert_eq!(info.versions, ["v1alpha3", "v1alpha2", "v1alpha1"]);
    assert_eq!(info.name, "sriov-launcher-hook");
}

/// The socket is watched from before the server starts: whenever it can be seen, Info answers.
#[tokio::test]
async fn a_socket_that_can_be_seen_answers() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("sriov");
    std::fs::create_dir(&directory).unwrap();
    for _ in 0..20 {
        let _server = Process::start(program().args(["serve", "--socket-dir"]).arg(&directory));
        let mut looks = 0;
        let socket = loop {
            match found_by_virt_launcher(folder.path()).pop() {
                Some(socket) => break socket,
                None => tokio::time::sleep(Duration::from_micros(50)).await,
            }
            looks += 1;
            assert!(looks < 200_000, "no socket");
        };
        assert_eq!(socket, directory.join(SOCKET));
        let mut client = InfoClient::new(connect(&socket).await);
        let call = client.info(InfoParams {});
        tokio::time::timeout(Duration::from_secs(1), call).await.unwrap().unwrap();
        std::fs::remove_file(&socket).unwrap();
    }
}

#[tokio::test]
async fn every_version_defines_the_domain() {
    let server = Server::start();
    let channel = server.connect().await;
    let (domain, vmi) = (BARE_DOMAIN.as_bytes().to_vec(), VMI.as_bytes().to_vec());
    let expected = defined();

    let parameters = v1alpha1::OnDefineDomainParams { domain_xml: domain.clone(), vmi: vmi.clone() };
    let mut client = v1alpha1::callbacks_client::CallbacksClient::new(channel.clone());
    let answer = client.on_define_domain(parameters).await.unwrap().into_inner().domain_xml;
    assert_eq!(harness::text(&answer), expected);

    let parameters = v1alpha2::OnDefineDomainParams { domain_xml: domain.clone(), vmi: vmi.clone() };
    let mut client = v1alpha2::callbacks_client::CallbacksClient::new(channel.clone());
    let answer = client.on_define_domain(parameters).await.unwrap().into_inner().domain_xml;
    assert_eq!(harness::text(&answer), expected);

    let answer = define(channel.clone(), &vmi, &domain).await.unwrap();
    assert_eq!(harness::text(&answer), expected);

    let request = MutateDomainRequest {
        domain_type: "libvirt".to_owned(),
        domain,
        vmi,
        sidecar_context: Some(SidecarContext { invocation_context: "Boot".to_owned() }),
    };
    let mut client = DomainHookServiceClient::new(channel);
    let answer = client.mutate_domain(request).await.unwrap().into_inner().domain;
    assert_eq!(harness::text(&answer), expected);
}

/// KubeVirt calls up to three times for one boot, from the second on with what libvirt read back.
#[tokio::test]
async fn three_calls_in_a_row_are_stable_from_the_first() {
    let server = Server::start();
    let first = server.define(VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap();
    let second = server.define(VMI.as_bytes(), &first).await.unwrap();
    assert_eq!(harness::text(&second), harness::text(&first));
    // KubeVirt itself writes no mode.
    let written = DOMAIN.replace("<hostdev type", "<hostdev mode=\"subsystem\" type");
    for (domain, stable) in [(DOMAIN, written.as_str()), (READ_BACK, READ_BACK)] {
        let answer = server.define(VMI.as_bytes(), domain.as_bytes()).await.unwrap();
        assert_eq!(harness::text(&answer), stable);
    }
}

#[rstest]
#[case::source("MigrationSource")]
#[case::target("MigrationTarget")]
#[tokio::test]
async fn a_migration_asks_for_no_devices(#[case] context: &str) {
    // No network-info: at boot this would be refused.
    let server = Server::start_with(&["--network-info", "/nonexistent"]);
    let request = MutateDomainRequest {
        domain_type: "libvirt".to_owned(),
        domain: BARE_DOMAIN.as_bytes().to_vec(),
        vmi: VMI.as_bytes().to_vec(),
        sidecar_context: Some(SidecarContext { invocation_context: context.to_owned() }),
    };
    let mut client = DomainHookServiceClient::new(server.connect().await);
    let answer = client.mutate_domain(request).await.unwrap().into_inner().domain;
    assert_eq!(harness::text(&answer), BARE_DOMAIN);
}

#[tokio::test]
async fn cloud_init_data_comes_back_unchanged() {
    let server = Server::start();
    let channel = server.connect().await;
    let parameters = v1alpha2::PreCloudInitIsoParams {
        cloud_init_no_cloud_source: b"source".to_vec(),
        vmi: VMI.as_bytes().to_vec(),
        cloud_init_data: b"data".to_vec(),
    };
    let mut client = v1alpha2::callbacks_client::CallbacksClient::new(channel.clone());
    let answer = client.pre_cloud_init_iso(parameters).await.unwrap().into_inner();
    assert_eq!(
        (&*answer.cloud_init_no_cloud_source, &*answer.cloud_init_data),
        (&b"source"[..], &b"data"[..])
    );

    let parameters = v1alpha3::PreCloudInitIsoParams {
        cloud_init_no_cloud_source: b"source".to_vec(),
        vmi: VMI.as_bytes().to_vec(),
        cloud_init_data: b"data".to_vec(),
    };
    let mut client = v1alpha3::callbacks_client::CallbacksClient::new(channel);
    let answer = client.pre_cloud_init_iso(parameters).await.unwrap().into_inner();
    assert_eq!(
        (&*answer.cloud_init_no_cloud_source, &*answer.cloud_init_data),
        (&b"source"[..], &b"data"[..])
    );
}

/// A domain of about `size` bytes, by a comment in its metadata.
fn large_domain(size: usize) -> String {
    BARE_DOMAIN.replacen("</metadata>", &format!("<!--{}--></metadata>", "x".repeat(size)), 1)
}

#[tokio::test]
async fn a_domain_of_3_mib_passes() {
    let server = Server::start();
    let domain = large_domain(3 * 1024 * 1024);
    let answer = server.define(VMI.as_bytes(), domain.as_bytes()).await.unwrap();
    let hostdevs = defined().len() - BARE_DOMAIN.len();
    assert_eq!(answer.len(), domain.len() + hostdevs);
}

/// network-info fills while the server runs.
#[tokio::test]
async fn the_files_are_read_anew_for_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network-info");
    std::fs::write(&file, "").unwrap();
    let server = Server::start_with(&["--network-info", file.to_str().unwrap()]);
    server.define(VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap_err();
    std::fs::copy(fixture("network-info.json"), &file).unwrap();
    let answer = server.define(VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap();
    assert_eq!(harness::text(&answer), defined());
}

#[tokio::test]
async fn ten_at_once() {
    let server = Server::start();
    let expected = defined();
    let domain = large_domain(256 * 1024);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let channel = server.connect().await;
        let domain = domain.clone();
        calls.spawn(async move { define(channel, VMI.as_bytes(), domain.as_bytes()).await });
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.len(), 10);
    for answer in answers {
        assert_eq!(answer.unwrap().len(), domain.len() + expected.len() - BARE_DOMAIN.len());
    }
}

/// The webhook adds flags to those that its user wants: the last one counts.
#[tokio::test]
async fn a_flag_may_be_repeated() {
    let server = Server::start_with(&[
        "--verify=fail",
        "--network-info",
        fixture("network-info.json").to_str().unwrap(),
        "--verify=off",
    ]);
    server.define(VMI.as_bytes(), BARE_DOMAIN.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn one_server_answers_in_several_folders() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = ["hooks", "plugin"].map(|name| folder.path().join(name).join(SOCKET));
    let _server = Process::start(
        program()
            .args(["serve", "--log-level", "error", "--socket-dir"])
            .arg(folder.path().join("hooks"))
            .arg("--socket-dir")
            .arg(folder.path().join("plugin")),
    );
    for socket in sockets {
        wait_until("the socket answers", || answers(&socket));
        InfoClient::new(connect(&socket).await).info(InfoParams {}).await.unwrap();
    }
}
