//! virt-launcher's side of the hook protocol. Messages are written here from KubeVirt's description, not taken
//! from the program under test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
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
/// For a sidecar to say what it is. virt-launcher gives it one second, which a busy host cannot promise to anybody;
/// `HOOK_INFO_SECONDS` sets it.
const INFO_DEADLINE: Duration = Duration::from_secs(30);
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

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

/// A sidecar that has said what it is.
#[derive(Debug)]
pub struct Hook {
    client: Grpc<Channel>,
    version: &'static str,
}

impl Hook {
    /// Connects to a socket and asks what is behind it, as virt-launcher does when it finds one.
    ///
    /// # Errors
    /// Whatever would have virt-launcher give up.
    pub async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let name = socket.display().to_string();
        let socket = socket.to_owned();
        // The address is not used: each connection is to the socket.
        let channel = Endpoint::from_static("http://hook")
            .connect_with_connector(service_fn(move |_: Uri| {
                let socket = socket.clone();
                async move { UnixStream::connect(socket).await.map(TokioIo::new) }
            }))
            .await
            .with_context(|| format!("connecting to {name}"))?;
        let mut client = Grpc::new(channel);
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
        Ok(Self { client, version })
    }

    /// Has it define a domain.
    ///
    /// # Errors
    /// What it answers instead.
    pub async fn define_domain(&mut self, vmi: Vec<u8>, domain_xml: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let method = format!("/kubevirt.hooks.{}.Callbacks/OnDefineDomain", self.version);
        let params = OnDefineDomainParams { domain_xml, vmi };
        let result: OnDefineDomainResult = call(&mut self.client, DEFINE_DEADLINE, &method, params).await?;
        Ok(result.domain_xml)
    }

    /// Tells it that the virtual machine has ended.
    ///
    /// # Errors
    /// What it answers instead.
    pub async fn shutdown(&mut self) -> anyhow::Result<()> {
        let method = format!("/kubevirt.hooks.{}.Callbacks/Shutdown", self.version);
        let Empty {} = call(&mut self.client, DEFINE_DEADLINE, &method, Empty {}).await?;
        Ok(())
    }
}

fn info_deadline() -> anyhow::Result<Duration> {
    match std::env::var("HOOK_INFO_SECONDS") {
        Ok(seconds) => Ok(Duration::from_secs(seconds.parse().context("HOOK_INFO_SECONDS")?)),
        Err(_) => Ok(INFO_DEADLINE),
    }
}

/// The files in a folder and one level down, where virt-launcher takes each for a socket.
///
/// # Errors
/// A folder that cannot be read.
pub fn sockets(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = |folder: &Path| -> anyhow::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder)
            .with_context(|| format!("looking for sockets in {}", folder.display()))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(entries(&path)?.into_iter().filter(|path| !path.is_dir()));
        } else {
            found.push(path);
        }
    }
    Ok(found)
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
