//! `sriov-webhook map`: the path of each device, from its network to the domain.

use std::io;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use contract::NadName;

use super::cluster_look::{ClusterLook, look};
use super::cluster_options::{ClusterOptions, NamespaceOptions};
use super::launcher_hook_options::hide_launcher_hook;
use super::progress::shown;
use super::release_flags::DecisionFlags;
use super::{block_on, failed};
use crate::doctor::collect::Settings;
use crate::doctor::map::{self, Map};
use crate::doctor::{Check, State};

/// Show for each virtual machine the path of each device, from its network to its domain
///
/// Shows each VMI whose networks need devices: network, NAD and what it wants, resource, VF and PF, alias of the
/// hostdev, MAC addresses, and what KubeVirt says of the running domain. A ! marks a column that disagrees with another,
/// a ? one that is not known; a line below says what is needed to know it. Changes nothing.
#[derive(Debug, Args)]
#[command(
    mut_args(hide_launcher_hook),
    after_long_help = "\
Examples:
  sriov-webhook map
  sriov-webhook map postgres --namespace databases
  sriov-webhook map databases/postgres --output json
  sriov-webhook map --all-namespaces

Pods are decided by the flags of the release's Deployment; those that are given here, under Decisions and \
launcher-hook, take their place.

Exit status:
  0  nothing is wrong
  1  something is wrong
  2  nothing wrong was seen, but the cluster did not answer, or not every question"
)]
pub(super) struct Arguments {
    /// VMIs to show; without any, all of the namespace
    #[arg(value_name = "[NAMESPACE/]VMI")]
    machines: Vec<String>,

    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    namespaces: NamespaceOptions,

    #[command(flatten)]
    pub(super) admission: DecisionFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: a table for each VMI
    Table,
    /// For programs: one JSON document
    Json,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let output = arguments.output;
    let printed = draw(arguments).and_then(|map| {
        match output {
            Output::Table => map::write_table(&map, &mut anstream::stdout().lock())?,
            Output::Json => map::write_json(&map, &mut io::stdout().lock())?,
        }
        Ok(map.state())
    });
    match printed {
        Ok(State::Ok | State::Note | State::Warning) => ExitCode::SUCCESS,
        Ok(State::Wrong) => ExitCode::from(1),
        Ok(State::Unknown) => ExitCode::from(2),
        Err(error) => failed("map", &error),
    }
}

fn draw(arguments: Arguments) -> anyhow::Result<Map> {
    let Arguments { machines, output: _, cluster, namespaces, admission } = arguments;
    let settings = Settings::without_probe(Check::Vmi);
    block_on(async {
        let client = cluster.client().await?;
        let within_namespaces = namespaces.of_cluster(&client);
        let names = names(&machines, &within_namespaces)?;
        let wants_release = admission.wants_release();
        let seen =
            shown(async |progress| look(&client, &settings, &admission, wants_release, &progress).await);
        let ClusterLook { mut facts, decisions, version: _ } = seen.await?;
        if names.is_empty()
            && !within_namespaces.is_empty()
            && let Some(Ok(machines)) = &mut facts.machines
        {
            machines.retain(|machine| within_namespaces.contains(&machine.namespace));
        }
        Ok(map::map(&facts, &names, &decisions))
    })
}

/// The VMIs with these names. A name without a namespace is of the one namespace that the command is about.
fn names(machines: &[String], namespaces: &[String]) -> anyhow::Result<Vec<NadName>> {
    let name = |machine: &String| {
        let full = match namespaces {
            _ if machine.contains('/') => machine.clone(),
            [namespace] => format!("{namespace}/{machine}"),
            _ => bail!("VMI {machine}: of which namespace? write NAMESPACE/{machine}"),
        };
        full.parse().with_context(|| format!("VMI {machine}"))
    };
    machines.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::of_the_namespace("postgres", &["databases"], Ok("databases/postgres"))]
    #[case::of_its_own("web/front", &["databases"], Ok("web/front"))]
    #[case::of_its_own_among_all("web/front", &[], Ok("web/front"))]
    #[case::among_all("postgres", &[], Err("VMI postgres: of which namespace? write NAMESPACE/postgres"))]
    #[case::among_two("postgres", &["a", "b"], Err("VMI postgres: of which namespace? write NAMESPACE/postgres"))]
    fn a_name_is_of_one_namespace(
        #[case] machine: &str,
        #[case] namespaces: &[&str],
        #[case] expected: Result<&str, &str>,
    ) {
        let namespaces: Vec<String> = namespaces.iter().map(|text| (*text).to_owned()).collect();
        let found = names(&[machine.to_owned()], &namespaces);
        let found = found.map(|names| names[0].to_string()).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn a_name_that_no_vmi_can_have_is_refused() {
        let said = names(&["lab/Fine_1".to_owned()], &[]).unwrap_err();
        assert!(format!("{said:#}").starts_with("VMI lab/Fine_1: "), "{said:#}");
    }
}
