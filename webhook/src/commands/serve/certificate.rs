//! Where the serving certificate comes from: a folder, the replicas themselves, or nowhere but memory.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use certs::ServingCertificate;
use certs::issue::SelfSigned;
use certs::managed::Keeper;
use certs::reload::Directory;
use kube::Client;
use tokio::sync::Notify;

use super::arguments::CertificateArguments;
use super::tasks::Tasks;

/// How long a self-signed certificate is valid: longer than anybody tries something out.
const SELF_SIGNED: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How often the Secret and the bundle are looked at when no watch tells of a change.
const LOOK: Duration = Duration::from_secs(60);

/// Fills `serving` and keeps it filled. Returns whether it was made on the spot.
pub(super) async fn start(
    arguments: CertificateArguments,
    client: Option<Client>,
    listen: SocketAddr,
    serving: &Arc<ServingCertificate>,
    tasks: &mut Tasks,
) -> anyhow::Result<bool> {
    let CertificateArguments { tls_dir, tls_interval, self_signed, client_ca: _, managed } = arguments;
    let now = SystemTime::now();
    if let Some(path) = tls_dir {
        let mut directory = Directory::new(path, Arc::clone(serving));
        directory.poll(now).context("cannot start without a certificate (--tls-dir)")?;
        if let Some(warning) = directory.ca_warning() {
            tracing::warn!("{warning}");
        }
        tasks.start("reads --tls-dir", directory.run(tls_interval, pending()));
        return Ok(false);
    }
    if let Some(client) = client.filter(|_| !self_signed) {
        let settings = managed.settings(&client);
        let kubernetes = managed.cluster(client);
        let keeper = Keeper::new(kubernetes.clone(), settings, Arc::clone(serving))
            .context("cannot keep managed certificates")?;
        let wake = Arc::new(Notify::new());
        tasks.start("watches certificates", kubernetes.watch(Arc::clone(&wake)));
        tasks.start("keeps certificates", keeper.run(LOOK, wake, pending()));
        return Ok(false);
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.ip().is_unspecified() && !listen.ip().is_loopback() {
        names.push(listen.ip().to_string());
    }
    let issued = SelfSigned::issue(&names, SELF_SIGNED, now)?;
    serving.offer(&issued.pair, now)?;
    Ok(true)
}
