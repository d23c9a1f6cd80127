//! `sriov-webhook doctor`: what keeps the virtual machines of a cluster from their VFs.

use std::io;
use std::process::ExitCode;

use admission::Options;
use anyhow::Context as _;
use apiserver::{DEADLINE, Object, within};
use clap::{Args, ValueEnum};
use contract::NadName;

use super::cluster_options::ClusterOptions;
use super::launcher_hook_options::hide_launcher_hook;
use super::program;
use super::progress::shown;
use crate::commands::AdmissionOptions;
use crate::doctor::collect::{Settings, collect};
use crate::doctor::map::{self, Map};
use crate::doctor::{Check, FailOn, Report, judge, report};

/// Find out whether each virtual machine of a cluster gets the VFs that its networks need, and if not, why
///
/// Reads webhook registrations, KubeVirts, NetworkAttachmentDefinitions, nodes, VMIs and virt-launcher pods, and the
/// events of nodes that may have been restarted. Changes nothing: the one pod that it creates is a dry run, which the
/// webhook denies.
#[derive(Debug, Args)]
#[command(
    mut_args(hide_launcher_hook),
    after_long_help = "\
Examples:
  sriov-webhook doctor
  sriov-webhook doctor --scope all-pods --namespace-isolation
  sriov-webhook doctor --output short --fail-on warning
  sriov-webhook doctor --output json | jq -r '.findings[] | select(.state != \"ok\") | .code'
  sriov-webhook doctor --only webhook --probe-namespace databases
  sriov-webhook doctor --map
  sriov-webhook doctor --map --vmi databases/postgres --output json

Pods are decided by the flags under Decisions and launcher-hook, not by those of the replicas: give it the same ones.

--map shows for each VMI whose networks need devices the path of each device: network, NAD and what it wants, \
resource, VF and PF, alias of the hostdev, MAC addresses, and what KubeVirt says of the running domain. A ! marks a \
column that disagrees with another, a ? one that is not known; a line below says what is needed to know it.

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
    #[arg(long, value_enum, value_name = "STATE", default_value_t = FailOn::Error, hide_possible_values = true)]
    fail_on: FailOn,

    /// Run this check only; may be given several times
    #[arg(long, value_enum, value_name = "CHECK")]
    only: Vec<Check>,

    /// Show for each VMI the path of each device from the network to the domain, instead of the checks
    #[arg(long, conflicts_with = "only")]
    map: bool,

    /// Show this VMI only in the map; may be given several times
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "map")]
    vmi: Vec<NadName>,

    /// MutatingWebhookConfiguration of the release, if there are several
    #[arg(long, value_name = "NAME")]
    webhook_configuration: Option<String>,

    /// Namespace for the dry run of a pod that the webhook denies
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    probe_namespace: String,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    pub(super) admission: AdmissionOptions,
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
    let (output, fail_on) = (arguments.output, arguments.fail_on);
    let printed = examine(arguments).and_then(|seen| {
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
        Ok(match seen {
            Seen::Report(report) => fail_on.exit_status(report.findings.iter().map(|finding| finding.state)),
            Seen::Map(map) => fail_on.exit_status(map.states()),
        })
    });
    match printed {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("{} doctor: {}", program(), apiserver::chain(&*error));
            ExitCode::from(2)
        }
    }
}

/// What to print.
enum Seen {
    Report(Report),
    Map(Map),
}

fn examine(arguments: Arguments) -> anyhow::Result<Seen> {
    let Arguments {
        output: _,
        fail_on: _,
        only,
        map,
        vmi,
        webhook_configuration,
        probe_namespace,
        cluster,
        admission,
    } = arguments;
    let options = Options::from(admission);
    let checks = match (map, only.is_empty()) {
        (true, _) => vec![Check::Vmi],
        (false, true) => Check::ALL.to_vec(),
        (false, false) => only,
    };
    let settings = Settings {
        checks,
        configuration: webhook_configuration,
        probe_namespace,
        resource_annotations: options.resource_annotations.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(async {
        let client = cluster.client().await?;
        let facts = shown(async |progress| {
            progress.doing("waiting for the API server");
            // Otherwise everything below would fail for the same reason, one by one.
            let version = Object::of_cluster("the API server's", "version");
            within(DEADLINE, "get", &version, client.apiserver_version()).await?;
            anyhow::Ok(collect(&client, &settings, |what| progress.doing(what)).await)
        });
        let facts = facts.await?;
        Ok(if map {
            Seen::Map(map::map(&facts, &vmi, &options))
        } else {
            Seen::Report(judge::judge(&facts, &settings.checks, &options))
        })
    })
}
