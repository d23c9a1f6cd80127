//! The report as a table for people and as JSON for programs.

use std::io::{self, Write};

use super::{Report, State};
use crate::style::REMEDY;

/// Prints one line for each finding, and below it what to do.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_table(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for finding in &report.findings {
        let (state, style) = (finding.state.as_str(), finding.state.style());
        writeln!(out, "{style}{state:<8}{style:#} {:<9} {}", finding.check.as_str(), finding.found)?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:<18} {REMEDY}->{REMEDY:#} {remedy}", "")?;
        }
    }
    let count = |state| report.findings.iter().filter(|finding| finding.state == state).count();
    let things = |number: usize| if number == 1 { "1 thing".to_owned() } else { format!("{number} things") };
    let (wrong, unknown, warnings) = (count(State::Wrong), count(State::Unknown), count(State::Warning));
    let unknown =
        if unknown > 0 { format!("; {} could not be seen", things(unknown)) } else { String::new() };
    let verdict = match (wrong, warnings) {
        (0, 0) if unknown.is_empty() => "All is well".to_owned(),
        (0, 0) => "Nothing wrong was seen".to_owned(),
        (0, warnings) if unknown.is_empty() => format!("Nothing is wrong; {} to look at", things(warnings)),
        (0, warnings) => format!("Nothing wrong was seen; {} to look at", things(warnings)),
        (1, _) => "1 thing is wrong".to_owned(),
        (wrong, _) => format!("{wrong} things are wrong"),
    };
    let style = report.state().style();
    writeln!(out, "\n{style}{verdict}{unknown}.{style:#}")
}

/// Prints the report as one JSON document.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
