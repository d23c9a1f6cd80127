//! `sriov-webhook doctor`: what keeps the virtual machines of a cluster from their VFs.

use std::io;
use std::process::ExitCode;

use admission::Options;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use contract::NadName;

use super::cluster_options::ClusterOptions;
use crate::commands::AdmissionOptions;
use crate::doctor::collect::{Settings, collect};
use crate::doctor::map::{self, Map};
use crate::doctor::{Check, Report, State, judge, report};

/// Look at a cluster: does each virtual machine get the VFs that its networks need, and if not, why?
///
/// Reads registrations, KubeVirts, NetworkAttachmentDefinitions, nodes, VMIs and virt-launcher pods, and where a node
/// may have been restarted its events. Changes nothing: the one pod that it requests is a dry run, and would be refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sriov-webhook doctor
  sriov-webhook doctor --scope all-pods --namespace-isolation
  sriov-webhook doctor --output json | jq '.findings[] | select(.state != \"ok\")'
  sriov-webhook doctor --only webhook --probe-namespace databases
  sriov-webhook doctor --map
  sriov-webhook doctor --map --vmi databases/postgres --output json

Pods are judged by the flags under Decisions, not by those that the replicas have: give it the same ones.

With --map it shows, for each VMI whose networks need devices, the whole way of each: network, NAD and what it wants, \
resource, VF and PF, alias of the hostdev, MAC addresses, and what KubeVirt says of the running domain. A column that \
disagrees with another has a ! in front; ? is not known, and a line below says what is needed to know it.

Exit status: 0 when nothing is wrong, 1 when something is, 2 when the cluster cannot be asked, or not about everything \
that was to be looked at: then nothing that was seen is wrong.")]
pub(super) struct Arguments {
    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,

    /// Look at this only; may be given several times
    #[arg(long, value_enum, value_name = "CHECK")]
    only: Vec<Check>,

    /// Show for each VMI the path of each device from the network to the domain, and nothing else
    #[arg(long, conflicts_with = "only")]
    map: bool,

    /// Show this VMI only; may be given several times
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "map")]
    vmi: Vec<NadName>,

    /// MutatingWebhookConfiguration of the release, where there are several
    #[arg(long, value_name = "NAME")]
    webhook_configuration: Option<String>,

    /// Namespace in which the API server is asked for a pod that the webhook refuses (a dry run)
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
    /// For programs: one JSON document
    Json,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let output = arguments.output;
    let printed = examine(arguments).and_then(|seen| {
        let mut out = io::stdout().lock();
        match (&seen, output) {
            (Seen::Report(report), Output::Table) => report::write_table(report, &mut out)?,
            (Seen::Report(report), Output::Json) => report::write_json(report, &mut out)?,
            (Seen::Map(map), Output::Table) => map::write_table(map, &mut out)?,
            (Seen::Map(map), Output::Json) => map::write_json(map, &mut out)?,
        }
        Ok(match seen {
            Seen::Report(report) => report.state(),
            Seen::Map(map) => map.state(),
        })
    });
    match printed {
        Ok(State::Ok | State::Warning) => ExitCode::SUCCESS,
        Ok(State::Wrong) => ExitCode::from(1),
        Ok(State::Unknown) => ExitCode::from(2),
        Err(error) => {
            eprintln!("sriov-webhook doctor: {}", ::certs::store::chain(&*error));
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
    let Arguments { output: _, only, map, vmi, webhook_configuration, probe_namespace, cluster, admission } =
        arguments;
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
        // Before everything else fails for the same reason, one by one.
        client.apiserver_version().await.context("the API server does not answer")?;
        let facts = collect(&client, &settings).await;
        Ok(if map {
            Seen::Map(map::map(&facts, &vmi, &options))
        } else {
            Seen::Report(judge::judge(&facts, &settings.checks, &options))
        })
    })
}
