//! A device plugin for the kubelet, v1beta1.

use super::kubelet::v1beta1::device_plugin_server::{DevicePlugin, DevicePluginServer};
use super::kubelet::v1beta1::registration_client::RegistrationClient;
use super::kubelet::v1beta1::{
    AllocateRequest, AllocateResponse, ContainerAllocateResponse, Device, DevicePluginOptions, Empty,
    ListAndWatchResponse, PreStartContainerRequest, PreStartContainerResponse, PreferredAllocationRequest,
    PreferredAllocationResponse, RegisterRequest,
};
use anyhow::Context as _;
use futures_util::stream::{self, Stream};
use hyper_util::rt::TokioIo;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server, Uri};
use tonic::{Request, Response, Status};
use tower::service_fn;

const FOLDER: &str = "/var/lib/kubelet/device-plugins";
/// How often devices and the kubelet's socket are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Devices of one resource.
pub trait Pool: Send + Sync + 'static {
    /// The extended resource.
    fn resource(&self) -> String;
    /// The IDs of the devices there are now.
    fn devices(&self) -> Vec<String>;
    /// What a container gets with these devices, or why it cannot have them.
    fn allocate(&self, devices: &[String]) -> Result<ContainerAllocateResponse, String>;
}

/// Serves a pool until the process ends: registers it, and again whenever the kubelet was restarted.
pub async fn serve(pool: Arc<dyn Pool>) -> anyhow::Result<()> {
    let socket = format!("kubevirt-sriov-{}.sock", pool.resource().replace('/', "_"));
    loop {
        if let Err(error) = serve_one_kubelet(&pool, &socket).await {
            eprintln!("{}: {error:#}", pool.resource());
        }
        sleep(INTERVAL).await;
    }
}

async fn serve_one_kubelet(pool: &Arc<dyn Pool>, socket: &str) -> anyhow::Result<()> {
    let kubelet = Path::new(FOLDER).join("kubelet.sock");
    let own = Path::new(FOLDER).join(socket);
    let born = birth(&kubelet).context("the kubelet's socket is not there")?;
    let _ = fs::remove_file(&own);
    let listener = UnixListener::bind(&own).with_context(|| own.display().to_string())?;
    let service = DevicePluginServer::new(Plugin(Arc::clone(pool)));
    // A kubelet that starts removes the sockets of its plugins.
    let gone = {
        let (kubelet, own) = (kubelet.clone(), own.clone());
        async move {
            while own.exists() && birth(&kubelet) == Some(born) {
                sleep(INTERVAL).await;
            }
        }
    };
    let server = tokio::spawn(async move {
        let incoming = UnixListenerStream::new(listener);
        tokio::select! {
            ended = Server::builder().add_service(service).serve_with_incoming(incoming) => ended.context("the server ended"),
            () = gone => Ok(()),
        }
    });
    let options = DevicePluginOptions::default();
    let request = RegisterRequest {
        version: "v1beta1".to_owned(),
        endpoint: socket.to_owned(),
        resource_name: pool.resource(),
        options: Some(options),
    };
    RegistrationClient::new(connect(&kubelet).await?).register(request).await.context("registering")?;
    eprintln!("{}: registered, {:?}", pool.resource(), pool.devices());
    server.await?
}

fn birth(path: &Path) -> Option<(u64, i64, i64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// Connects to a gRPC server's socket.
pub async fn connect(socket: &Path) -> anyhow::Result<Channel> {
    let path: PathBuf = socket.to_owned();
    // The address is not used: each connection is to the socket.
    Endpoint::from_static("http://kubelet")
        .connect_with_connector(service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .with_context(|| format!("connecting to {}", socket.display()))
}

struct Plugin(Arc<dyn Pool>);

#[tonic::async_trait]
impl DevicePlugin for Plugin {
    type ListAndWatchStream = Pin<Box<dyn Stream<Item = Result<ListAndWatchResponse, Status>> + Send>>;

    async fn get_device_plugin_options(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<DevicePluginOptions>, Status> {
        Ok(Response::new(DevicePluginOptions::default()))
    }

    /// The devices, and again when they are others.
    async fn list_and_watch(&self, _: Request<Empty>) -> Result<Response<Self::ListAndWatchStream>, Status> {
        let start = (Arc::clone(&self.0), None);
        let lists = stream::unfold(start, |(pool, told): (Arc<dyn Pool>, Option<Vec<String>>)| async move {
            let mut devices = pool.devices();
            while told.as_ref() == Some(&devices) {
                sleep(INTERVAL).await;
                devices = pool.devices();
            }
            let device = |id: &String| Device { id: id.clone(), health: "Healthy".to_owned() };
            let list = ListAndWatchResponse { devices: devices.iter().map(device).collect() };
            Some((Ok(list), (pool, Some(devices))))
        });
        Ok(Response::new(Box::pin(lists)))
    }

    async fn get_preferred_allocation(
        &self,
        _: Request<PreferredAllocationRequest>,
    ) -> Result<Response<PreferredAllocationResponse>, Status> {
        Err(Status::unimplemented("not offered"))
    }

    async fn allocate(
        &self,
        request: Request<AllocateRequest>,
    ) -> Result<Response<AllocateResponse>, Status> {
        let requests = request.into_inner().container_requests;
        let answers = requests.iter().map(|container| self.0.allocate(&container.devices_ids));
        let container_responses = answers.collect::<Result<_, _>>().map_err(Status::failed_precondition)?;
        Ok(Response::new(AllocateResponse { container_responses }))
    }

    async fn pre_start_container(
        &self,
        _: Request<PreStartContainerRequest>,
    ) -> Result<Response<PreStartContainerResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}
