//! The report as a table for people and as JSON for programs.

use std::io::{self, Write};

use super::colours::{ATTENTION, BAD, GOOD, REMEDY};
use super::{Place, Report, State, vm};

/// Prints one line for each finding, and below it what to do. The colours are for `anstream` to remove where `out` is not
/// a terminal.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_table(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let place = match report.place {
        Place::Host => "host",
        Place::Container => "container",
    };
    writeln!(out, "Seen from a {place}.\n")?;
    for finding in &report.findings {
        let (state, style) = match finding.state {
            State::Ok => ("ok", GOOD),
            State::Warning => ("warning", ATTENTION),
            State::Missing => ("MISSING", BAD),
        };
        writeln!(out, "{style}{state:<8}{style:#} {:<11} {}", finding.check, finding.found)?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:<20} {REMEDY}->{REMEDY:#} {remedy}", "")?;
        }
    }
    let missing = report.findings.iter().filter(|finding| finding.state == State::Missing).count();
    match missing {
        0 => writeln!(out, "\n{GOOD}Fit for VFIO.{GOOD:#}"),
        1 => writeln!(out, "\n{BAD}Not fit for VFIO: 1 thing is missing.{BAD:#}"),
        several => writeln!(out, "\n{BAD}Not fit for VFIO: {several} things are missing.{BAD:#}"),
    }?;
    report.machine.as_ref().map_or(Ok(()), |machine| vm::report::write_table(machine, out))
}

/// Prints the report as one JSON document.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
