//! `check`.

use std::io;
use std::process::ExitCode;

use contract::ResourceName;

use crate::check::facts::{self, Given};
use crate::check::{judge, report};
use crate::cli::{CheckArguments, CheckOutput};
use crate::devices::{Devices, Sources};
use crate::given_nodes::GivenNodes;
use crate::sysfs::Roots;

pub(super) fn run(arguments: &CheckArguments, roots: &Roots) -> anyhow::Result<ExitCode> {
    let CheckArguments { output, sources } = arguments;
    let mut variables = sources.read()?.variables;
    // The others name no devices: one that is wrong is no reason to keep silent about the host.
    variables.retain(|(name, _)| name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX));
    let devices = Devices::read(&Sources { variables: &variables, ..Sources::default() })?;
    let given = Given { addresses: devices.addresses(), nodes: GivenNodes::read(&variables) };
    let report = judge::judge(&facts::look(roots, &given));
    match output {
        CheckOutput::Table => report::write_table(&report, &mut io::stdout().lock())?,
        CheckOutput::Json => report::write_json(&report, &mut io::stdout().lock())?,
    }
    Ok(if report.fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
