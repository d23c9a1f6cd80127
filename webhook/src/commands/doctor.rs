//! `sriov-webhook doctor`: what keeps the virtual machines of a cluster from their VFs.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use contract::{NadName, duration};
use kube::Client;

use super::cluster_look::{ClusterLook, RegistrationOptions, look};
use super::cluster_options::ClusterOptions;
use super::launcher_hook_options::hide_launcher_hook;
use super::progress::{Progress, shown};
use super::release_flags::DecisionFlags;
use super::{block_on, failed};
use crate::doctor::collect::Settings;
use crate::doctor::map::{self, Map};
use crate::doctor::{Check, FailOn, Report, State, judge, pre, report};

/// Find out whether each virtual machine of a cluster gets the VFs that its networks need, and if not, why
///
/// Reads webhook registrations, the Deployment behind them with its pods, metrics and certificate, KubeVirts,
/// NetworkAttachmentDefinitions, nodes, VMIs and virt-launcher pods, and the events of nodes that may have been restarted.
/// Changes nothing: the one pod that it creates is a dry run, which the webhook denies.
#[derive(Debug, Args)]
#[command(
    mut_args(hide_launcher_hook),
    after_long_help = "\
Examples:
  sriov-webhook doctor
  sriov-webhook doctor --only webhook --only release
  sriov-webhook doctor --output short --fail-on warning
  sriov-webhook doctor --output json | jq -r '.findings[] | select(.state != \"ok\") | .code'
  sriov-webhook doctor --only webhook --probe-namespace databases
  sriov-webhook doctor --pre
  sriov-webhook doctor --wait 5m --fail-on warning
  sriov-webhook doctor --map
  sriov-webhook doctor --map --vmi databases/postgres --output json

Pods are decided by the flags of the release's Deployment; those that are given here, under Decisions and \
launcher-hook, take their place.

--map shows for each VMI whose networks need devices the path of each device: network, NAD and what it wants, \
resource, VF and PF, alias of the hostdev, MAC addresses, and what KubeVirt says of the running domain. A ! marks a \
column that disagrees with another, a ? one that is not known; a line below says what is needed to know it.

--pre checks what an install needs: the API server's version, this user's permissions, KubeVirt, Multus, other \
injectors, nodes with devices.

Each finding that is not ok has a code, which is never renamed. docs/findings.md explains each.

Exit status:
  0  nothing is wrong
  1  something is wrong, or with --fail-on warning deserves attention
  2  nothing wrong was seen, but the cluster did not answer, or not every question; or the flags are wrong"
)]
pub(super) struct Arguments {
    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,

    /// Which findings make the command fail
    #[arg(long, value_enum, value_name = "STATE", default_value_t = FailOn::Error)]
    fail_on: FailOn,

    /// Run this check only; may be given several times
    #[arg(long, value_enum, value_name = "CHECK")]
    only: Vec<Check>,

    /// Check what an install needs, before there is a release
    #[arg(long, conflicts_with_all = ["only", "map"])]
    pre: bool,

    /// Namespace of the release that will be installed
    #[arg(long, value_name = "NAMESPACE", default_value = "kubevirt-sriov", hide_short_help = true)]
    release_namespace: String,

    /// Check again until the exit status is 0, at most this long
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    wait: Option<Duration>,

    /// Show for each VMI the path of each device from the network to the domain, instead of the checks
    #[arg(long, conflicts_with = "only")]
    map: bool,

    /// Show this VMI only in the map; may be given several times
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "map")]
    vmi: Vec<NadName>,

    #[command(flatten)]
    registration: RegistrationOptions,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    pub(super) admission: DecisionFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: a line for each finding, and below it what to do
    Table,
    /// For scripts: one line for each finding, with state, check, code, object, and what was seen
    Short,
    /// For programs: one JSON document
    Json,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let output = arguments.output;
    let printed = examined(arguments).and_then(|(seen, status)| {
        match (&seen, output) {
            (Seen::Report(report), Output::Table) => {
                report::write_table(report, &mut anstream::stdout().lock())?;
            }
            (Seen::Report(report), Output::Short) => {
                report::write_short(&report.findings, &mut io::stdout().lock())?;
            }
            (Seen::Map(map), Output::Short) => {
                report::write_short(map.findings(), &mut io::stdout().lock())?;
            }
            (Seen::Report(report), Output::Json) => report::write_json(report, &mut io::stdout().lock())?,
            (Seen::Map(map), Output::Table) => map::write_table(map, &mut anstream::stdout().lock())?,
            (Seen::Map(map), Output::Json) => map::write_json(map, &mut io::stdout().lock())?,
        }
        Ok(status)
    });
    match printed {
        Ok(status) => ExitCode::from(status),
        Err(error) => failed("doctor", &error),
    }
}

/// What to print.
enum Seen {
    Report(Report),
    Map(Map),
}

impl Seen {
    fn states(&self) -> Vec<State> {
        match self {
            Self::Report(report) => report.findings.iter().map(|finding| finding.state).collect(),
            Self::Map(map) => map.states().collect(),
        }
    }
}

/// How long --wait rests between two looks.
const REST: Duration = Duration::from_secs(5);

/// What was seen, the last time, and the exit status.
fn examined(arguments: Arguments) -> anyhow::Result<(Seen, u8)> {
    let Arguments {
        output: _,
        fail_on,
        only,
        pre,
        release_namespace,
        wait,
        map,
        vmi,
        registration,
        cluster,
        admission,
    } = arguments;
    let checks = match (map, pre, only.is_empty()) {
        (true, ..) => vec![Check::Vmi],
        (_, true, _) => pre::CHECKS.to_vec(),
        (_, _, true) => Check::ALL.to_vec(),
        (_, _, false) => only,
    };
    let settings = registration.settings(checks);
    let look = Look { settings, release_namespace, vmi, map, pre, admission };
    block_on(async {
        let client = cluster.client().await?;
        shown(async |progress| {
            let start = Instant::now();
            loop {
                let seen = look.once(&client, &progress).await.map(|seen| {
                    let status = fail_on.exit_status(seen.states());
                    (seen, status)
                });
                let is_well = matches!(seen, Ok((_, 0)));
                match wait.and_then(|wait| wait.checked_sub(start.elapsed())) {
                    Some(left) if !is_well && !left.is_zero() => {
                        progress.doing("waiting for all to be well");
                        tokio::time::sleep(REST.min(left)).await;
                    }
                    _ => return seen,
                }
            }
        })
        .await
    })
}

/// What to look at.
struct Look {
    settings: Settings,
    release_namespace: String,
    vmi: Vec<NadName>,
    map: bool,
    pre: bool,
    admission: DecisionFlags,
}

impl Look {
    async fn once(&self, client: &Client, progress: &Progress) -> anyhow::Result<Seen> {
        let Self { settings, release_namespace, vmi, map, pre, admission } = self;
        let wants_release = admission.wants_release() && !pre;
        let ClusterLook { version, facts, decisions } =
            look(client, settings, admission, wants_release, progress).await?;
        if *pre {
            progress.doing("asking for permissions");
            let before = pre::collect(client, (version.major, version.minor), release_namespace.clone());
            return Ok(Seen::Report(pre::judge(&before.await, &facts)));
        }
        Ok(if *map {
            Seen::Map(map::map(&facts, vmi, &decisions))
        } else {
            Seen::Report(judge::judge(&facts, &settings.checks, &decisions))
        })
    }
}
