//! The flags of `serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use admission::FinalLook;
use clap::Args;
use contract::duration;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::commands::AdmissionOptions;
use crate::commands::cluster_options::KubeconfigOptions;
use crate::commands::managed_options::ManagedOptions;
use crate::logging::LogFormat;
use crate::server::SHARED_BODY_MEMORY;

/// Run the webhook: answer the API server's reviews over HTTPS
///
/// POST /mutate answers AdmissionReviews of pods, POST /mutate-vmi those of VirtualMachineInstances, to which it only
/// ever adds warnings. POST /validate is the final look: it refuses pods that would be stored without what their
/// networks need. A second listener without TLS has /livez, /readyz and /metrics. Networks come from files with
/// --networks, otherwise from the cluster that the program runs in or that --kubeconfig names.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  # Without a cluster: networks from files and a self-signed certificate; logs a curl command to try it
  sriov-webhook serve --networks examples/nads.yaml

  # In a cluster: networks from the API server, a certificate that the replicas issue and renew
  sriov-webhook serve --tls-secret kubevirt-sriov/kubevirt-sriov-tls \\
    --service kubevirt-sriov/kubevirt-sriov --webhook-configuration kubevirt-sriov

  # In a cluster, with a certificate from a mounted Secret
  sriov-webhook serve --tls-dir /etc/tls

  # Beside a cluster
  sriov-webhook serve --kubeconfig ~/.kube/config --self-signed --listen 127.0.0.1:8443

Environment:
  KUBECONFIG             as --kubeconfig
  TOKIO_WORKER_THREADS   number of threads that answer

On SIGTERM or SIGINT, /readyz fails at once. Reviews are answered for --drain-delay, then the listener closes, and \
requests in flight get --grace to end. A second signal ends the program at once.

Exit status:
  0  stopped by a signal
  1  it could not start, or a task of it stopped
  2  the flags are wrong")]
pub(in crate::commands) struct Arguments {
    /// Address for reviews, over HTTPS
    ///
    /// Port 0 takes a free port, which the log names.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub(super) listen: SocketAddr,

    /// Address for /livez, /readyz and /metrics, over HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub(super) admin_listen: SocketAddr,

    #[command(flatten)]
    pub(super) networks: NetworksArguments,

    #[command(flatten)]
    pub(super) certificate: CertificateArguments,

    #[command(flatten)]
    pub(super) cluster: KubeconfigOptions,

    #[command(flatten)]
    pub(in crate::commands) admission: AdmissionOptions,

    /// What POST /validate answers about a pod that lacks what its networks need
    #[arg(long, value_enum, default_value_t, help_heading = "Decisions")]
    pub(super) final_look: FinalLook,

    #[command(flatten)]
    pub(super) virtual_machines: VirtualMachineArguments,

    #[command(flatten)]
    pub(super) limits: LimitsArguments,

    #[command(flatten)]
    pub(super) logging: LoggingArguments,
}

/// Where networks come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Networks")]
pub(super) struct NetworksArguments {
    /// Read NetworkAttachmentDefinitions from a file or folder instead of a cluster
    ///
    /// YAML or JSON. Files are reloaded when they change.
    #[arg(long, value_name = "FILE|DIR")]
    pub(super) networks: Option<PathBuf>,

    /// How often to look for changes of --networks
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "2s", value_parser = duration::parse)]
    pub(super) networks_interval: Duration,

    /// Watch the NetworkAttachmentDefinitions of this namespace only
    ///
    /// Those of other namespaces are looked up when a pod names them.
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "networks")]
    pub(super) namespace: Option<String>,
}

/// Where the serving certificate comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Certificate")]
pub(super) struct CertificateArguments {
    /// Serve tls.crt and tls.key of this folder, reloaded when they change
    #[arg(long, value_name = "DIR", conflicts_with = "self_signed")]
    pub(super) tls_dir: Option<PathBuf>,

    /// How often to look for changes of --tls-dir
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub(super) tls_interval: Duration,

    /// Serve a certificate that is issued at the start and kept in memory
    ///
    /// This is the default without a cluster and without --tls-dir.
    #[arg(long)]
    pub(super) self_signed: bool,

    /// Accept only clients with a certificate of one of these CAs (a PEM file)
    #[arg(long, value_name = "FILE")]
    pub(super) client_ca: Option<PathBuf>,

    #[command(flatten)]
    pub(super) managed: ManagedOptions,
}

/// What authors of virtual machines are told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Virtual machines")]
pub(super) struct VirtualMachineArguments {
    /// Do not write events on VirtualMachineInstances whose pods are denied
    #[arg(long)]
    pub(super) no_vmi_events: bool,

    /// Watch nodes, and warn of networks whose resource no node offers and no DeviceClass serves
    ///
    /// Needs the permissions list and watch on nodes and DeviceClasses.
    #[arg(long)]
    pub(super) watch_nodes: bool,
}

/// What clients may use, and how the server ends.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitsArguments {
    /// Largest body, such as 512Ki or 8Mi
    ///
    /// At most 64Mi, the memory that all bodies share.
    #[arg(long, hide_short_help = true, value_name = "SIZE", default_value = "8Mi", value_parser = size)]
    pub(super) max_body: usize,

    /// Number of requests that are answered at the same time; further ones get 429
    #[arg(long, hide_short_help = true, value_name = "NUMBER", default_value_t = 512)]
    pub(super) max_in_flight: usize,

    /// Number of open connections
    ///
    /// A further one replaces the connection that has been idle longest, and is closed at once if none is idle.
    #[arg(long, hide_short_help = true, value_name = "NUMBER", default_value_t = 2048)]
    pub(super) max_connections: usize,

    /// Time for a TLS handshake
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    pub(super) handshake_timeout: Duration,

    /// Time for a request's head, and again for its body
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub(super) read_timeout: Duration,

    /// How long to keep serving after SIGTERM, so that endpoints can be updated
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    pub(super) drain_delay: Duration,

    /// Time for requests in flight after --drain-delay
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub(super) grace: Duration,
}

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log (on standard error)")]
pub(super) struct LoggingArguments {
    /// Format of log lines
    #[arg(long, value_enum, default_value_t)]
    pub(super) log_format: LogFormat,

    /// Lowest level to log: error, warn, info, debug or trace
    ///
    /// A module can have a level of its own with info,MODULE=LEVEL, such as info,webhook::review=off.
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "LOG_LEVEL", value_parser = log_level)]
    pub(super) log_level: Targets,
}

/// Reads `100`, `64Ki`, `8Mi`.
fn size(text: &str) -> Result<usize, String> {
    let wrong =
        || "write a number of bytes up to 64Mi, with Ki or Mi after it if you like, such as 8Mi".to_owned();
    let (number, unit) = match text.strip_suffix("Mi") {
        Some(number) => (number, 1024 * 1024),
        None => text.strip_suffix("Ki").map_or((text, 1), |number| (number, 1024)),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|size| (1..=SHARED_BODY_MEMORY).contains(size)).ok_or_else(wrong)
}

/// Reads `info` and `info,webhook::review=off`. A word that is not a level would otherwise count as the only part
/// that is heard.
fn log_level(text: &str) -> Result<Targets, String> {
    let is_level = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_alphabetic()) && word.parse::<LevelFilter>().is_ok()
    };
    let is_directive = |directive: &str| match directive.split_once('=') {
        Some((part, level)) => !part.is_empty() && is_level(level),
        None => is_level(directive),
    };
    let wrong =
        || "write error, warn, info, debug or trace; for single parts as well info,PART=LEVEL".to_owned();
    if !text.split(',').all(is_directive) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::level("warn", Some("warn"))]
    #[case::capitals("INFO", Some("info"))]
    #[case::silence("off", Some("off"))]
    #[case::part("info,webhook::review=off", Some("webhook::review=off,info"))]
    #[case::part_only("webhook::review=debug", Some("webhook::review=debug"))]
    #[case::nearly_a_level("warning", None)]
    #[case::bare_part("webhook::review", None)]
    #[case::bare_part_beside_a_level("info,webhook", None)]
    #[case::no_level("webhook=warning", None)]
    #[case::no_part("=info", None)]
    #[case::number("3", None)]
    #[case::comma_at_the_end("info,", None)]
    #[case::empty("", None)]
    fn log_levels(#[case] text: &str, #[case] read: Option<&str>) {
        assert_eq!(log_level(text).ok().map(|level| level.to_string()).as_deref(), read);
    }

    #[rstest]
    #[case::bytes("100", Some(100))]
    #[case::kibi("64Ki", Some(65_536))]
    #[case::mebi("8Mi", Some(8 * 1024 * 1024))]
    #[case::zero("0", None)]
    #[case::other_unit("8MB", None)]
    #[case::most("64Mi", Some(64 * 1024 * 1024))]
    #[case::more_than_all_together("65Mi", None)]
    #[case::more_than_a_semaphore_counts("4611686018427387904", None)]
    #[case::too_much("99999999999999999999Mi", None)]
    fn sizes(#[case] text: &str, #[case] bytes: Option<usize>) {
        assert_eq!(size(text).ok(), bytes);
    }
}
