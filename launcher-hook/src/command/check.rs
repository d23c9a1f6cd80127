//! `check`.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use anyhow::{Context, bail};
use contract::ResourceName;

use super::define::content;
use crate::check::facts::{self, Given};
use crate::check::memory::Demand;
use crate::check::processes::Process;
use crate::check::vm::map::{self, Map};
use crate::check::vm::{self, Plan, Texts, guest, nads, pf_links};
use crate::check::{judge, report};
use crate::cli::{CheckArguments, CheckOutput, MachineArguments};
use crate::define::Options;
use crate::definer::DefinitionArguments;
use crate::devices::{Devices, PodTexts};
use crate::given_nodes::GivenNodes;
use crate::sysfs::Roots;

pub(super) fn run(arguments: CheckArguments, roots: &Roots) -> anyhow::Result<ExitCode> {
    let CheckArguments { output, machine, definition } = arguments;
    let sources = definition.sources.read()?;
    let texts = MachineTexts::read(machine)?;
    let mut variables = sources.variables.clone();
    // The others name no devices: one that is wrong is not a reason to keep silent about the host.
    variables.retain(|(name, _)| name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX));
    let devices = Devices::read(&PodTexts { variables: &variables, ..PodTexts::default() })?;
    let nodes = GivenNodes::read(&variables);
    let guest = texts.as_ref().and_then(|texts| vm::domain_name(&texts.vmi));
    let given = Given { addresses: devices.addresses(), nodes: nodes.clone(), guest };
    let facts = facts::look(roots, &given);
    let mapped = texts.map(|texts| {
        let (plan, map) = texts.map(&definition, &sources.texts(), facts.process.as_ref(), roots, &nodes)?;
        anyhow::Ok((texts.demand(&plan), map))
    });
    let (demand, map) = mapped.transpose()?.unzip();
    let mut report = judge::judge(&facts, demand.flatten());
    let right = map.as_ref().is_none_or(|map| map.right);
    report.machine = map;
    match output {
        CheckOutput::Table => report::write_table(&report, &mut anstream::stdout().lock())?,
        CheckOutput::Json => report::write_json(&report, &mut io::stdout().lock())?,
    }
    Ok(if report.fit && right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The texts about the virtual machine.
struct MachineTexts {
    vmi: String,
    domain: Option<String>,
    nads: Option<String>,
    pf_links: Option<String>,
}

impl MachineTexts {
    /// `None` if no virtual machine is named.
    fn read(arguments: MachineArguments) -> anyhow::Result<Option<Self>> {
        let MachineArguments { vmi, domain, nads, pf_links } = arguments;
        let all = [&vmi, &domain, &nads, &pf_links];
        if all.into_iter().flatten().filter(|argument| *argument == "-").count() > 1 {
            bail!("only one of --vmi, --domain, --nads and --pf-links can be -: put the others into files");
        }
        let Some(vmi) = vmi else { return Ok(None) };
        let text = |option: &'static str, argument: OsString, first: u8| {
            String::from_utf8(content(option, argument, first)?)
                .with_context(|| format!("{option} is not UTF-8"))
        };
        Ok(Some(Self {
            vmi: text("--vmi", vmi, b'{')?,
            domain: domain.map(|domain| text("--domain", domain, b'<')).transpose()?,
            nads: nads.map(|nads| text("--nads", nads, b'{')).transpose()?,
            pf_links: pf_links.map(|links| text("--pf-links", links, b'[')).transpose()?,
        }))
    }

    fn map(
        &self,
        definition: &DefinitionArguments,
        sources: &PodTexts<'_>,
        process: Option<&Process>,
        roots: &Roots,
        nodes: &GivenNodes,
    ) -> anyhow::Result<(Plan, Map)> {
        let qemu = process.and_then(|process| process.qemu.as_ref());
        let texts = Texts { vmi: &self.vmi, domain: self.domain.as_deref(), qemu, sources: *sources };
        let options =
            Options { binding: definition.binding.clone(), assign: definition.assign, migration: false };
        let plan = Plan::read(&texts, &options)?;
        let nads = self.nads.as_deref().map(nads::parse).transpose().context("--nads")?;
        let links = self.pf_links.as_deref().map(pf_links::parse).transpose().context("--pf-links")?;
        let functions = plan.functions().into_iter();
        let functions = functions.map(|address| (address, vm::look(roots, nodes, address))).collect();
        let map = map::judge(&plan, &functions, nads.as_deref(), links.as_deref());
        Ok((plan, map))
    }

    /// How much memory the machine locks: the domain knows best, a running QEMU is asked later.
    fn demand(&self, plan: &Plan) -> Option<Demand> {
        match &self.domain {
            Some(domain) => guest::of_domain(domain),
            None if matches!(plan.attached, vm::Attached::CommandLine(_)) => None,
            None => guest::of_vmi(&self.vmi, plan.networks.len()),
        }
    }
}
