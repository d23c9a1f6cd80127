//! What is answered: one implementation for every version of the interface.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::{Status, async_trait};

use super::protocol::info::info_server::{self, InfoServer};
use super::protocol::info::{HookPoint, InfoParams, InfoResult};
use super::protocol::plugins::domain_hook_service_server::{self, DomainHookServiceServer};
use super::protocol::plugins::{MutateDomainRequest, MutateDomainResponse};
use super::protocol::v1alpha1::callbacks_server::{self as callbacks_v1alpha1, CallbacksServer as V1alpha1};
use super::protocol::v1alpha2::callbacks_server::{self as callbacks_v1alpha2, CallbacksServer as V1alpha2};
use super::protocol::v1alpha3::callbacks_server::{self as callbacks_v1alpha3, CallbacksServer as V1alpha3};
use super::protocol::{info, plugins, v1alpha1, v1alpha2, v1alpha3};
use crate::define::DefineError;
use crate::definer::{Definer, DefinerError};
use crate::plan::PlanError;

/// What virt-launcher takes and sends in one message, gRPC's own default.
pub const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// What the message takes beside the domain: a field key and a length.
const AROUND_THE_DOMAIN: usize = 16;

/// Name in virt-launcher's log.
const NAME: &str = "sriov-launcher-hook";

/// What happens to the server once virt-launcher says that the virtual machine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterShutdown {
    /// It ends, and its container with it.
    End,
    /// It goes on: the kubelet would start an ended sidecar again.
    GoOn,
}

/// All services of the socket.
#[derive(Debug, Clone)]
pub(super) struct Services {
    info: InfoServer<Hook>,
    v1alpha1: V1alpha1<Hook>,
    v1alpha2: V1alpha2<Hook>,
    v1alpha3: V1alpha3<Hook>,
    plugin: DomainHookServiceServer<Hook>,
}

/// What stands behind the services.
#[derive(Debug)]
struct Hook {
    definer: Definer,
    after: AfterShutdown,
    /// Set once virt-launcher says that the virtual machine has ended.
    stop: watch::Sender<bool>,
}

impl Services {
    pub(super) fn new(definer: Definer, after: AfterShutdown, stop: watch::Sender<bool>) -> Self {
        let hook = Arc::new(Hook { definer, after, stop });
        Self {
            info: InfoServer::from_arc(hook.clone()),
            v1alpha1: V1alpha1::from_arc(hook.clone()).max_decoding_message_size(LARGEST_MESSAGE),
            v1alpha2: V1alpha2::from_arc(hook.clone()).max_decoding_message_size(LARGEST_MESSAGE),
            v1alpha3: V1alpha3::from_arc(hook.clone()).max_decoding_message_size(LARGEST_MESSAGE),
            plugin: DomainHookServiceServer::from_arc(hook).max_decoding_message_size(LARGEST_MESSAGE),
        }
    }

    /// Hands a request to the service in its path, `/package.Service/Method`.
    pub(super) async fn answer(mut self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split('/').next());
        match service.unwrap_or_default() {
            info_server::SERVICE_NAME => self.info.call(request).await,
            callbacks_v1alpha1::SERVICE_NAME => self.v1alpha1.call(request).await,
            callbacks_v1alpha2::SERVICE_NAME => self.v1alpha2.call(request).await,
            callbacks_v1alpha3::SERVICE_NAME => self.v1alpha3.call(request).await,
            domain_hook_service_server::SERVICE_NAME => self.plugin.call(request).await,
            other => {
                let message = format!("no service {} here", contract::Quoted(other));
                Ok(Status::unimplemented(message).into_http())
            }
        }
    }
}

impl Hook {
    async fn define(&self, vmi: &[u8], domain: &[u8], migration: bool) -> Result<Vec<u8>, Status> {
        let xml = self.definer.define_patiently(vmi, domain, migration).await.map_err(|error| {
            tracing::error!("{error}");
            status(&error)
        })?;
        if xml.len() + AROUND_THE_DOMAIN > LARGEST_MESSAGE {
            let message = format!(
                "the domain has {} bytes with its hostdevs; virt-launcher takes messages of at most \
                 {LARGEST_MESSAGE}: make its metadata smaller",
                xml.len()
            );
            tracing::error!("{message}");
            return Err(Status::out_of_range(message));
        }
        Ok(xml.into_bytes())
    }
}

fn status(error: &DefinerError) -> Status {
    let message = error.to_string();
    match error {
        DefinerError::Encoding { .. }
        | DefinerError::Domain(_)
        | DefinerError::Define(
            DefineError::Domain(_)
            | DefineError::Plan(PlanError::Vmi { .. } | PlanError::NotJson | PlanError::NotVmi { .. }),
        ) => Status::invalid_argument(message),
        DefinerError::Lacking { .. }
        | DefinerError::Define(DefineError::Plan(_))
        | DefinerError::NotUsable(_) => Status::failed_precondition(message),
        DefinerError::Source(_) => Status::unavailable(message),
    }
}

type Answer<T> = Result<tonic::Response<T>, Status>;

#[async_trait]
impl info::info_server::Info for Hook {
    async fn info(&self, _: tonic::Request<InfoParams>) -> Answer<InfoResult> {
        // PreCloudInitIso is answered and not asked for: there is nothing to change.
        let points = ["OnDefineDomain", "Shutdown"];
        Ok(tonic::Response::new(InfoResult {
            name: NAME.to_owned(),
            hook_points: points.map(|name| HookPoint { name: name.to_owned(), priority: 0 }).to_vec(),
            versions: ["v1alpha3", "v1alpha2", "v1alpha1"].map(str::to_owned).to_vec(),
        }))
    }
}

#[async_trait]
impl v1alpha1::callbacks_server::Callbacks for Hook {
    async fn on_define_domain(
        &self,
        request: tonic::Request<v1alpha1::OnDefineDomainParams>,
    ) -> Answer<v1alpha1::OnDefineDomainResult> {
        let v1alpha1::OnDefineDomainParams { domain_xml, vmi } = request.into_inner();
        let domain_xml = self.define(&vmi, &domain_xml, false).await?;
        Ok(tonic::Response::new(v1alpha1::OnDefineDomainResult { domain_xml }))
    }
}

#[async_trait]
impl v1alpha2::callbacks_server::Callbacks for Hook {
    async fn on_define_domain(
        &self,
        request: tonic::Request<v1alpha2::OnDefineDomainParams>,
    ) -> Answer<v1alpha2::OnDefineDomainResult> {
        let v1alpha2::OnDefineDomainParams { domain_xml, vmi } = request.into_inner();
        let domain_xml = self.define(&vmi, &domain_xml, false).await?;
        Ok(tonic::Response::new(v1alpha2::OnDefineDomainResult { domain_xml }))
    }

    async fn pre_cloud_init_iso(
        &self,
        request: tonic::Request<v1alpha2::PreCloudInitIsoParams>,
    ) -> Answer<v1alpha2::PreCloudInitIsoResult> {
        let unchanged = request.into_inner();
        Ok(tonic::Response::new(v1alpha2::PreCloudInitIsoResult {
            cloud_init_no_cloud_source: unchanged.cloud_init_no_cloud_source,
            cloud_init_data: unchanged.cloud_init_data,
        }))
    }
}

#[async_trait]
impl v1alpha3::callbacks_server::Callbacks for Hook {
    async fn on_define_domain(
        &self,
        request: tonic::Request<v1alpha3::OnDefineDomainParams>,
    ) -> Answer<v1alpha3::OnDefineDomainResult> {
        let v1alpha3::OnDefineDomainParams { domain_xml, vmi } = request.into_inner();
        let domain_xml = self.define(&vmi, &domain_xml, false).await?;
        Ok(tonic::Response::new(v1alpha3::OnDefineDomainResult { domain_xml }))
    }

    async fn pre_cloud_init_iso(
        &self,
        request: tonic::Request<v1alpha3::PreCloudInitIsoParams>,
    ) -> Answer<v1alpha3::PreCloudInitIsoResult> {
        let unchanged = request.into_inner();
        Ok(tonic::Response::new(v1alpha3::PreCloudInitIsoResult {
            cloud_init_no_cloud_source: unchanged.cloud_init_no_cloud_source,
            cloud_init_data: unchanged.cloud_init_data,
        }))
    }

    async fn shutdown(
        &self,
        _: tonic::Request<v1alpha3::ShutdownParams>,
    ) -> Answer<v1alpha3::ShutdownResult> {
        tracing::info!("virt-launcher says that the virtual machine has ended");
        if self.after == AfterShutdown::End {
            self.stop.send_replace(true);
        }
        Ok(tonic::Response::new(v1alpha3::ShutdownResult {}))
    }
}

#[async_trait]
impl plugins::domain_hook_service_server::DomainHookService for Hook {
    async fn mutate_domain(
        &self,
        request: tonic::Request<MutateDomainRequest>,
    ) -> Answer<MutateDomainResponse> {
        let MutateDomainRequest { domain_type, domain, vmi, sidecar_context } = request.into_inner();
        if domain_type != "libvirt" {
            return Err(Status::invalid_argument(format!(
                "domain_type is {}: only libvirt domains can be read",
                contract::Quoted(&domain_type)
            )));
        }
        let context = sidecar_context.unwrap_or_default().invocation_context;
        let migration = match context.as_str() {
            "MigrationSource" | "MigrationTarget" => true,
            "" | "Boot" => false,
            other => {
                return Err(Status::invalid_argument(format!(
                    "invocation_context is {}: known are Boot, MigrationSource and MigrationTarget",
                    contract::Quoted(other)
                )));
            }
        };
        let domain = self.define(&vmi, &domain, migration).await?;
        Ok(tonic::Response::new(MutateDomainResponse { domain }))
    }
}
