//! Plays virt-launcher's side of the hook protocol, once: finds the one socket under a folder, asks what it
//! offers, has it define a domain and prints the answer. Messages are written here from KubeVirt's
//! description, not taken from the program under test.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// virt-launcher's preference.
const VERSIONS: [&str; 3] = ["v1alpha3", "v1alpha2", "v1alpha1"];
/// What virt-launcher gives a sidecar to say what it is; `HOOK_INFO_SECONDS` makes it longer where processors
/// are emulated and shared.
const INFO_DEADLINE: Duration = Duration::from_secs(1);
/// What it gives it to define a domain.
const DEFINE_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, prost::Message)]
struct InfoParams {}

#[derive(Clone, PartialEq, prost::Message)]
struct HookPoint {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "2")]
    priority: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct InfoResult {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    hook_points: Vec<HookPoint>,
    #[prost(string, repeated, tag = "4")]
    versions: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OnDefineDomainParams {
    #[prost(bytes = "vec", tag = "1")]
    domain_xml: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    vmi: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OnDefineDomainResult {
    #[prost(bytes = "vec", tag = "1")]
    domain_xml: Vec<u8>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, vmi, domain] = arguments.as_slice() else {
        bail!("usage: hook-client SOCKET-FOLDER VMI-FILE DOMAIN-FILE >NEW-DOMAIN");
    };
    let params = OnDefineDomainParams {
        domain_xml: fs::read(domain).with_context(|| format!("reading {}", domain.display()))?,
        vmi: fs::read(vmi).with_context(|| format!("reading {}", vmi.display()))?,
    };

    let mut client = connect(only_socket(folder)?).await?;
    let info: InfoResult =
        call(&mut client, info_deadline()?, "/kubevirt.hooks.info.Info/Info", InfoParams {}).await?;
    ensure!(
        info.hook_points.iter().any(|point| point.name == "OnDefineDomain"),
        "{} does not offer OnDefineDomain: {:?}",
        info.name,
        info.hook_points
    );
    let version = VERSIONS
        .into_iter()
        .find(|version| info.versions.iter().any(|offered| offered == version))
        .with_context(|| {
            format!("{} offers no version that virt-launcher knows: {:?}", info.name, info.versions)
        })?;
    let path = format!("/kubevirt.hooks.{version}.Callbacks/OnDefineDomain");
    let result: OnDefineDomainResult = call(&mut client, DEFINE_DEADLINE, &path, params).await?;
    io::stdout().write_all(&result.domain_xml)?;
    Ok(())
}

fn info_deadline() -> anyhow::Result<Duration> {
    match std::env::var("HOOK_INFO_SECONDS") {
        Ok(seconds) => Ok(Duration::from_secs(seconds.parse().context("HOOK_INFO_SECONDS")?)),
        Err(_) => Ok(INFO_DEADLINE),
    }
}

/// virt-launcher looks in the sub-folders, one for each sidecar; a `--socket-dir` is a sub-folder or their parent.
fn only_socket(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("looking for sockets in {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                found.push(entry?.path());
            }
        } else {
            found.push(path);
        }
    }
    match found.as_slice() {
        [socket] => Ok(socket.clone()),
        _ => bail!("there should be one socket in {}: {found:?}", folder.display()),
    }
}

async fn connect(socket: PathBuf) -> anyhow::Result<Grpc<Channel>> {
    let name = socket.display().to_string();
    // The address is not used: each connection is to the socket.
    let channel = Endpoint::from_static("http://hook")
        .connect_with_connector(service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
        .with_context(|| format!("connecting to {name}"))?;
    Ok(Grpc::new(channel))
}

async fn call<Q, A>(
    client: &mut Grpc<Channel>,
    deadline: Duration,
    method: &str,
    question: Q,
) -> anyhow::Result<A>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    client.ready().await.with_context(|| format!("waiting to call {method}"))?;
    let mut request = Request::new(question);
    request.set_timeout(deadline);
    let answer = client
        .unary(request, PathAndQuery::try_from(method)?, ProstCodec::default())
        .await
        .with_context(|| format!("calling {method}"))?;
    Ok(answer.into_inner())
}
