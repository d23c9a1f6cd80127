//! `report-devices`: what `compute` runs once it has started.

use std::process::ExitCode;

use crate::cli::ReportDevicesArguments;
use crate::device_report;
use crate::sysfs::Roots;

/// Succeeds whatever happens: the kubelet ends a container whose postStart fails, and the virtual machine with it.
pub(super) fn run(arguments: &ReportDevicesArguments, roots: &Roots) -> ExitCode {
    let ReportDevicesArguments { file, claims } = arguments;
    let report = device_report::look(crate::variables::own_variables(), &claims.claim_metadata, roots);
    if let Err(problem) = device_report::write(file, &report) {
        tracing::error!(file = %file.display(), "the devices cannot be reported: {problem}");
    }
    ExitCode::SUCCESS
}
