//! From the flags to a running server, and to its end.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use admission::Options;
use anyhow::Context as _;
use certs::ServingCertificate;
use certs::tls::{self, ClientCa};
use kube::Client;
use kube::client::ClientBuilder;
use prometheus_client::registry::Registry;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tracing_appender::non_blocking::ErrorCounter;

use super::arguments::{
    Arguments, CertificateArguments, LimitsArguments, LoggingArguments, NetworksArguments,
    VirtualMachineArguments,
};
use super::certificate;
use super::hint::hint;
use super::tasks::{Stopped, Tasks};
use crate::commands::cluster_options::{KubeconfigOptions, Sources, unusable};
use crate::events::{Clients, EventMetrics, Limits, VmiEvents};
use crate::logging;
use crate::metrics::{self, CertificateMetrics, LogMetrics};
use crate::networks::{ClusterSource, FileSource, LiveLookup, LiveMetrics, NetworkStore, SignOfLife};
use crate::nodes::NodeStore;
use crate::server::admin::{self, Readiness};
use crate::server::reviews::{self, ReviewMetrics, Reviews};
use crate::server::{
    BodyLimits, ConnectionLimits, ConnectionMetrics, Listener, Phase, RequestLimits, Shutdown,
};

/// Runs `serve` until it is told to stop.
pub(in crate::commands) fn run(arguments: Arguments) -> ExitCode {
    let LoggingArguments { log_format, log_level } = arguments.logging.clone();
    let result = logging::start(log_format, log_level).and_then(|(dropped_lines, guard)| {
        let result = Runtime::new().context("cannot start threads").and_then(|runtime| {
            let result = runtime.block_on(serve(arguments, dropped_lines));
            // What is still running has had its time.
            runtime.shutdown_background();
            result
        });
        drop(guard);
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sriov-webhook serve: {}", apiserver::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments, dropped_lines: ErrorCounter) -> anyhow::Result<()> {
    let Arguments {
        listen,
        admin_listen,
        networks,
        certificate: from,
        cluster,
        admission,
        final_look,
        virtual_machines: VirtualMachineArguments { no_vmi_events, watch_nodes },
        limits,
        logging: _,
    } = arguments;
    let options = Options { final_look, ..Options::from(admission) };
    let mut signals = Signals::new()?;
    let mut all_metrics = metrics::registry();
    let registry = metrics::own(&mut all_metrics);
    let shutdown = Shutdown::default();
    let mut tasks = Tasks::default();

    let store = Arc::new(NetworkStore::default());
    registry.register_collector(Box::new(Arc::clone(&store)));
    let client = client(&cluster, &networks, &from, &store).await?;
    let nodes = client.clone().filter(|_| watch_nodes).map(|client| {
        let nodes = Arc::new(NodeStore::default());
        tasks.start("watches nodes", Arc::clone(&nodes).run(client));
        nodes
    });
    let events = client.clone().filter(|_| !no_vmi_events).map(|client| {
        let clients = if from.client_ca.is_some() { Clients::Verified } else { Clients::Any };
        VmiEvents::start(client, clients, Limits::default(), EventMetrics::register(registry))
    });
    let live = start_networks(networks, client.clone(), &options, &store, registry, &mut tasks)?;

    let serving = Arc::new(ServingCertificate::new());
    registry.register_collector(Box::new(CertificateMetrics(Arc::clone(&serving))));
    let client_ca = from.client_ca.as_deref().map(ClientCa::from_file).transpose()?;
    let is_self_signed = certificate::start(from, client, listen, &serving, &mut tasks).await?;
    let tls = tls::server_config(Arc::clone(&serving), client_ca.as_ref())?;

    registry.register_collector(Box::new(LogMetrics(dropped_lines)));
    let reviews = Reviews {
        networks: Arc::clone(&store),
        live,
        nodes,
        events,
        options,
        metrics: ReviewMetrics::register(registry),
    };
    let router = reviews::router(reviews, request_limits(&limits));
    let metrics = ConnectionMetrics::register(registry);
    let connections = connection_limits(&limits);
    let listener =
        Listener::bind(listen, Some(Arc::new(tls)), router, connections, metrics, shutdown.clone())
            .await
            .with_context(|| format!("cannot listen on {listen} (--listen)"))?;

    let readiness = Readiness {
        networks: Arc::clone(&store),
        certificate: Arc::clone(&serving),
        shutdown: shutdown.clone(),
    };
    let admin = admin_listener(admin_listen, readiness, all_metrics).await?;

    let (https, http) = (listener.address()?, admin.address()?);
    tracing::info!(https = %https, admin = %http, version = env!("CARGO_PKG_VERSION"), "listening");
    if is_self_signed && let Some(details) = serving.status().serving {
        println!("{}", hint(https, &details.fingerprint, store.example().as_ref()));
    }
    tasks.start("answers probes", async move {
        admin.run(Duration::ZERO).await;
    });
    let listening = tokio::spawn(listener.run(limits.grace));
    until_stopped(listening, &mut signals, &mut tasks, &shutdown, limits.drain_delay).await
}

fn request_limits(limits: &LimitsArguments) -> RequestLimits {
    let body = BodyLimits { bytes: limits.max_body, time: limits.read_timeout, ..BodyLimits::default() };
    RequestLimits { in_flight: limits.max_in_flight, body }
}

fn connection_limits(limits: &LimitsArguments) -> ConnectionLimits {
    ConnectionLimits {
        connections: limits.max_connections,
        handshake: limits.handshake_timeout,
        head: limits.read_timeout,
        ..ConnectionLimits::default()
    }
}

/// The listener of probes and metrics.
async fn admin_listener(
    address: SocketAddr,
    readiness: Readiness,
    registry: Registry,
) -> anyhow::Result<Listener> {
    // Probes must get through when reviews fill every other slot.
    let limits = ConnectionLimits { connections: 256, ..ConnectionLimits::default() };
    // It goes on until the very end: a probe that fails while we drain would have us killed.
    let shutdown = Shutdown::default();
    let router = admin::router(readiness, registry);
    Listener::bind(address, None, router, limits, ConnectionMetrics::default(), shutdown)
        .await
        .with_context(|| format!("cannot listen on {address} (--admin-listen)"))
}

/// Waits for a signal or for a task that should never have ended, drains, and stops.
async fn until_stopped(
    mut listening: JoinHandle<usize>,
    signals: &mut Signals,
    tasks: &mut Tasks,
    shutdown: &Shutdown,
    drain_delay: Duration,
) -> anyhow::Result<()> {
    let stopped = tokio::select! {
        () = signals.next() => {
            tracing::info!(drain_delay_ms = drain_delay.as_millis(), "stopping: draining");
            None
        }
        stopped = tasks.stopped() => {
            tracing::error!(drain_delay_ms = drain_delay.as_millis(), "{stopped}: draining");
            Some(stopped)
        }
        _ = &mut listening => return Err(Stopped { task: "answers reviews" }.into()),
    };
    shutdown.advance(Phase::Draining);
    tokio::select! {
        () = tokio::time::sleep(drain_delay) => {}
        () = signals.next() => {}
    }
    shutdown.advance(Phase::Stopping);
    tokio::select! {
        cut = listening => match cut? {
            0 => tracing::info!("stopped"),
            cut => tracing::warn!(connections = cut, "stopped with connections still open after --grace"),
        },
        () = signals.next() => tracing::warn!("second signal: stopped at once"),
    }
    stopped.map_or(Ok(()), |stopped| Err(stopped.into()))
}

/// The way to the cluster, where one is named and needed for networks or for the certificate.
async fn client(
    cluster: &KubeconfigOptions,
    networks: &NetworksArguments,
    certificate: &CertificateArguments,
    store: &Arc<NetworkStore>,
) -> anyhow::Result<Option<Client>> {
    let from_files = networks.networks.is_some();
    if from_files && (certificate.self_signed || certificate.tls_dir.is_some()) {
        return Ok(None);
    }
    // Who tries things out with files means no cluster, even where KUBECONFIG names one.
    let sources = if from_files { Sources::Flag } else { Sources::Environment };
    let Some(config) = cluster.config(sources).await? else {
        return Ok(None);
    };
    let exec = config.auth_info.exec.clone();
    let client = ClientBuilder::try_from(config).map_err(|error| unusable(exec.as_ref(), error))?;
    Ok(Some(client.with_layer(&SignOfLife(Arc::clone(store))).build()))
}

/// Fills the store and keeps it filled. Gives the way to look up what it does not know.
fn start_networks(
    arguments: NetworksArguments,
    client: Option<Client>,
    options: &Options,
    store: &Arc<NetworkStore>,
    registry: &mut Registry,
    tasks: &mut Tasks,
) -> anyhow::Result<Option<LiveLookup>> {
    let NetworksArguments { networks, networks_interval, namespace } = arguments;
    let Some(path) = networks else {
        let client = client.context(
            "no networks: name a file of NetworkAttachmentDefinitions with --networks, or a cluster with \
             --kubeconfig; in a pod with a ServiceAccount the cluster is found without",
        )?;
        let keys = options.resource_annotations.clone();
        let source = ClusterSource::new(client, namespace, keys, Arc::clone(store));
        let live = source.live_lookup(LiveMetrics::register(registry));
        tasks.start("watches NetworkAttachmentDefinitions", source.run());
        return Ok(Some(live));
    };
    let source = FileSource::open(path, options.resource_annotations.clone(), Arc::clone(store))
        .context("cannot start without networks")?;
    tasks.start("reads --networks", source.run(networks_interval));
    Ok(None)
}

/// What tells the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
