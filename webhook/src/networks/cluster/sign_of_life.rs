//! Tells the store whenever the watch gives a sign of life.
//!
//! kube's watcher keeps bookmarks to itself, and between two changes of NADs they are all that comes: without
//! them a quiet cluster could not be told from a dead connection. So this looks at what goes over the wire.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use contract::nad::PLURAL;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use kube::client::{Body, DynBody};
use tower::{Layer, Service};

use crate::networks::NetworkStore;

/// Goes around the service of a [`kube::Client`].
#[derive(Debug, Clone)]
pub struct SignOfLife(pub Arc<NetworkStore>);

/// A service that listens in.
#[derive(Debug, Clone)]
pub struct Listening<S> {
    service: S,
    store: Arc<NetworkStore>,
}

impl<S> Layer<S> for SignOfLife {
    type Service = Listening<S>;

    fn layer(&self, service: S) -> Self::Service {
        Listening { service, store: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request<Body>> for Listening<S>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>>,
    S::Future: Send + 'static,
{
    type Response = Response<Box<DynBody>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watches = watches_nads(request.uri());
        let response = self.service.call(request);
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            let response = response.await?;
            if !watches || !response.status().is_success() {
                return Ok(response);
            }
            store.health().heartbeat.heard();
            if store.health().recovered() {
                tracing::info!("watching NetworkAttachmentDefinitions again");
            }
            Ok(response.map(|body| {
                let body = body.map_frame(move |frame| {
                    store.health().heartbeat.heard();
                    frame
                });
                Box::new(body) as Box<DynBody>
            }))
        })
    }
}

fn watches_nads(uri: &Uri) -> bool {
    uri.path().ends_with(PLURAL)
        && uri.query().is_some_and(|query| query.split('&').any(|parameter| parameter == "watch=true"))
}
