//! The report as a table for people and as JSON for programs.

use std::io::{self, Write};

use super::{Place, Report, State, vm};

/// Prints one line for each finding, and below it what to do.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_table(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let place = match report.place {
        Place::Host => "host",
        Place::Container => "container",
    };
    writeln!(out, "Seen from a {place}.\n")?;
    for finding in &report.findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Missing => "MISSING",
        };
        writeln!(out, "{state:<8} {:<11} {}", finding.check, finding.found)?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:<20} -> {remedy}", "")?;
        }
    }
    let missing = report.findings.iter().filter(|finding| finding.state == State::Missing).count();
    match missing {
        0 => writeln!(out, "\nFit for VFIO."),
        1 => writeln!(out, "\nNot fit for VFIO: 1 thing is missing."),
        several => writeln!(out, "\nNot fit for VFIO: {several} things are missing."),
    }?;
    report.machine.as_ref().map_or(Ok(()), |machine| vm::report::write_table(machine, out))
}

/// Prints the report as one JSON document.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
