//! `sriov-webhook doctor`: what keeps the virtual machines of a cluster from their VFs.

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::cluster_options::ClusterOptions;
use crate::admission::Options;
use crate::commands::AdmissionOptions;
use crate::doctor::look::{Settings, look};
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

Pods are judged by the flags under Decisions, not by those that the replicas have: give it the same ones.

Exit status: 0 when nothing is wrong, 1 when something is, 2 when the cluster cannot be asked, or not about everything \
that was to be looked at: then nothing that was seen is wrong.")]
pub(super) struct Arguments {
    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,

    /// Look at this only; may be given several times
    #[arg(long, value_enum, value_name = "CHECK")]
    only: Vec<Check>,

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
    let printed = examine(arguments).and_then(|report| {
        let mut out = io::stdout().lock();
        match output {
            Output::Table => report::write_table(&report, &mut out)?,
            Output::Json => report::write_json(&report, &mut out)?,
        }
        Ok(report.state())
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

fn examine(arguments: Arguments) -> anyhow::Result<Report> {
    let Arguments { output: _, only, webhook_configuration, probe_namespace, cluster, admission } = arguments;
    let options = Options::from(admission);
    let checks = if only.is_empty() { Check::ALL.to_vec() } else { only };
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
        let facts = look(&client, &settings).await;
        Ok(judge::judge(&facts, &settings.checks, &options))
    })
}
