//! `sriov-webhook certs`: a look at certificates, and what a person may want to do by hand.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail, ensure};
use certs::ServingCertificate;
use certs::managed::{Cluster as _, Keeper};
use certs::report::Report;
use certs::rotation::{Data, Order, Vault};
use certs::store::KubernetesCluster;
use clap::{Args, Subcommand, ValueEnum};
use contract::duration;

use super::cluster_options::ClusterOptions;
use super::managed_options::ManagedOptions;
use super::progress::shown;
use super::{block_on, failed, program};

/// Show or renew the serving certificate and its CAs
///
/// None of this is needed day to day: the replicas renew their certificates themselves.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sriov-webhook certs inspect --tls-secret kubevirt-sriov/kubevirt-sriov-tls
  sriov-webhook certs inspect /etc/tls

Exit status: as each command's help says.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(InspectArguments),
    Renew(RenewArguments),
    RollCa(RollArguments),
}

/// Show certificates, and what is wrong with them
///
/// Reads files, and folders with tls.crt, tls.key and ca.crt; without any, the Secret in the cluster.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sriov-webhook certs inspect --tls-secret kubevirt-sriov/kubevirt-sriov-tls
  sriov-webhook certs inspect --tls-secret kubevirt-sriov/kubevirt-sriov-tls --output json
  sriov-webhook certs inspect /etc/tls ca.pem

Exit status:
  0  all certificates are valid
  1  something is wrong
  2  a certificate cannot be read")]
struct InspectArguments {
    /// PEM files, or folders as for serve --tls-dir
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,

    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    managed: ManagedOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs: one JSON object for each path
    Json,
}

/// Issue a new serving certificate now; the replicas load it within a minute
///
/// It is for the same names as the present one. No connection is dropped. The Secret must exist.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sriov-webhook certs renew --tls-secret kubevirt-sriov/kubevirt-sriov-tls \\
    --service kubevirt-sriov/kubevirt-sriov --webhook-configuration kubevirt-sriov

Exit status:
  0  a new certificate was issued
  2  none was issued, and standard error says why")]
struct RenewArguments {
    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    managed: ManagedOptions,
}

/// Create a new CA, which signs once every API server trusts it; no connection is dropped
///
/// The replicas add it to the caBundle beside the old one, let it sign after their --ca-settle, and remove the old
/// one when its last certificate has expired.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sriov-webhook certs roll-ca --wait 15m --tls-secret kubevirt-sriov/kubevirt-sriov-tls \\
    --service kubevirt-sriov/kubevirt-sriov --webhook-configuration kubevirt-sriov

Exit status:
  0  there is a new CA; with --wait, it signs
  2  there is none, or it does not sign in time, and standard error says why")]
struct RollArguments {
    /// Wait until the new CA signs, at most this long
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    wait: Option<Duration>,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    managed: ManagedOptions,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = block_on(async {
        match &arguments.command {
            Command::Inspect(arguments) => inspect(arguments).await,
            Command::Renew(arguments) => renew(arguments).await.map(|()| true),
            Command::RollCa(arguments) => roll(arguments).await.map(|()| true),
        }
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => failed("certs", &error),
    }
}

/// True when nothing is wrong.
async fn inspect(arguments: &InspectArguments) -> anyhow::Result<bool> {
    let mut reports = Vec::new();
    for path in &arguments.paths {
        let report = look_at(path).with_context(|| format!("cannot read {}", path.display()))?;
        reports.push((path.display().to_string(), report));
    }
    if reports.is_empty() {
        let cluster = arguments.managed.cluster(arguments.cluster.client().await?);
        reports.push((cluster.secret_name(), look_at_secret(&cluster).await?));
    }
    let mut out = io::stdout().lock();
    for (index, (name, report)) in reports.iter().enumerate() {
        match arguments.output {
            Output::Json => {
                let mut json = report.json();
                if let Some(object) = json.as_object_mut() {
                    object.insert("source".to_owned(), name.as_str().into());
                }
                writeln!(out, "{json}")?;
            }
            Output::Text if reports.len() > 1 => {
                let gap = if index > 0 { "\n" } else { "" };
                write!(out, "{gap}{name}\n\n{}", report.text())?;
            }
            Output::Text => write!(out, "{}", report.text())?,
        }
    }
    Ok(reports.iter().all(|(_, report)| report.is_good()))
}

fn look_at(path: &Path) -> io::Result<Report> {
    let now = SystemTime::now();
    if !path.is_dir() {
        return Ok(Report::of_file(&path.display().to_string(), &std::fs::read(path)?, now));
    }
    let mut data = Data::new();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        match std::fs::read(path.join(name)) {
            Ok(content) => drop(data.insert(name.to_owned(), content)),
            // Said by the report, in the words of a server that would load it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Report::of_data(&data, now))
}

async fn look_at_secret(cluster: &KubernetesCluster) -> anyhow::Result<Report> {
    let secret = cluster.secret().await?;
    ensure!(
        secret.version.is_some(),
        "{} does not exist: a replica with managed certificates makes it at its first start; name another one \
         with --tls-secret",
        cluster.secret_name()
    );
    Ok(Report::of_data(&secret.data, secret.now))
}

async fn renew(arguments: &RenewArguments) -> anyhow::Result<()> {
    let (cluster, mut keeper) = keeper(&arguments.cluster, &arguments.managed).await?;
    if !keeper.order(Order::Renew).await? {
        bail!(
            "nothing was renewed: {} holds no CA that the caBundle has; see `{} certs inspect` and the log of \
             the replicas",
            cluster.secret_name(),
            program()
        );
    }
    let (vault, _) = Vault::read(&cluster.secret().await?.data);
    if let Some(serving) = vault.serving {
        let end = certs::inspect::written(serving.leaf().not_after);
        let name = cluster.secret_name();
        println!("{name} has a new serving certificate, valid until {end}; the replicas take it now.");
    }
    Ok(())
}

async fn roll(arguments: &RollArguments) -> anyhow::Result<()> {
    let (cluster, mut keeper) = keeper(&arguments.cluster, &arguments.managed).await?;
    let secret = cluster.secret().await?;
    let (before, _) = Vault::read(&secret.data);
    let name = cluster.secret_name();
    ensure!(
        before.signer.is_some() || before.next.is_some(),
        "{name} holds no managed CA that a new one could follow"
    );
    if keeper.order(Order::RollAuthority).await? {
        println!("{name} has a new CA; the replicas let it sign once every API server trusts it.");
    } else {
        println!("{name} already has a new CA that does not sign yet.");
    }
    let Some(wait) = arguments.wait else { return Ok(()) };
    let signs = shown(async |progress| {
        progress.doing("waiting for the new CA to sign");
        let start = Instant::now();
        while start.elapsed() < wait {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (vault, _) = Vault::read(&cluster.secret().await?.data);
            if vault.next.is_none() && vault.signer.is_some() && vault.signer != before.signer {
                return anyhow::Ok(true);
            }
        }
        Ok(false)
    });
    let seconds = wait.as_secs();
    ensure!(signs.await?, "the new CA does not sign after {seconds} s: see the log of the replicas");
    println!("The new CA signs; the old one is trusted until its last certificate has expired.");
    Ok(())
}

async fn keeper(
    cluster: &ClusterOptions,
    managed: &ManagedOptions,
) -> anyhow::Result<(KubernetesCluster, Keeper<KubernetesCluster>)> {
    let client = cluster.client().await?;
    let settings = managed.settings(&client);
    let cluster = managed.cluster(client);
    let keeper = Keeper::new(cluster.clone(), settings, Arc::new(ServingCertificate::new()))?;
    Ok((cluster, keeper))
}
