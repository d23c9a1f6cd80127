//! One thread that accepts, answers, and drains before it ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::services::{AfterShutdown, Services};
use super::socket::Socket;
use crate::definer::Definer;
use crate::network_info::filler::Filler;

/// How long calls may take after the server was told to stop. KubeVirt waits a minute for the longest.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a client without a call may take to make one, or to disconnect, after the server was told to stop.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Between two tries to accept where the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers in each of `directories` until a signal, or until virt-launcher's Shutdown if that is what `after` says.
/// What `filler` fills is there before the sockets are.
///
/// # Errors
/// If no socket can be made, or nothing can be filled.
pub fn run(
    definer: Definer,
    filler: Option<Filler>,
    directories: &[PathBuf],
    after: AfterShutdown,
) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(serve(definer, filler, directories, after))
}

async fn serve(
    definer: Definer,
    filler: Option<Filler>,
    directories: &[PathBuf],
    after: AfterShutdown,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if let Some(mut filler) = filler {
        filler.fill()?;
        tokio::spawn(filler.run());
    }
    let (stop, mut stopped) = watch::channel(false);
    let services = Services::new(definer, after, stop.clone());
    let mut files = Vec::new();
    let mut listeners = JoinSet::new();
    for directory in directories {
        let Socket { listener, file } = Socket::listen(directory)?;
        let listener = UnixListener::from_std(listener)?;
        listeners.spawn(accept(listener, services.clone(), stop.subscribe()));
        files.push(file);
        tracing::info!(directory = %directory.display(), "listening");
    }
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
        () = told(&mut stopped) => {}
    }
    // First out of sight, then no new connections, then the calls that are under way.
    drop(files);
    stop.send_replace(true);
    if timeout(DRAIN, async { while listeners.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(seconds = DRAIN.as_secs(), "connections that are still open are cut off");
    }
    Ok(())
}

/// Accepts until told to stop, then waits for the connections that there are.
async fn accept(listener: UnixListener, services: Services, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            // Takes the ended ones away.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, services.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!("cannot accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: UnixStream, services: Services, mut stop: watch::Receiver<bool>) {
    let called = AtomicBool::new(false);
    let service = service_fn(|request| {
        called.store(true, Ordering::Relaxed);
        services.clone().answer(request)
    });
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            match timeout(LAST_WORD, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) if called.load(Ordering::Relaxed) => connection.await,
                // Nothing is under way, and a client that is silent would not end it for as long as it lives.
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!("connection: {error}");
    }
}

/// Waits until the server is told to stop; a dropped sender counts as that.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
