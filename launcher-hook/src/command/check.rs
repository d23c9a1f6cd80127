//! `check`.

use std::io;
use std::process::ExitCode;

use crate::check::{facts, judge, report};
use crate::cli::{CheckArguments, CheckOutput};
use crate::definer::given_devices;
use crate::sysfs::Roots;

pub(super) fn run(arguments: &CheckArguments, roots: &Roots) -> anyhow::Result<ExitCode> {
    let CheckArguments { output, sources } = arguments;
    let given = given_devices(&sources.read()?.variables);
    let report = judge::judge(&facts::look(roots, &given));
    match output {
        CheckOutput::Table => report::write_table(&report, &mut io::stdout().lock())?,
        CheckOutput::Json => report::write_json(&report, &mut io::stdout().lock())?,
    }
    Ok(if report.fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
