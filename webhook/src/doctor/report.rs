//! The report as a table for people and as JSON for programs.

use std::io::{self, Write};

use super::{Report, State};

/// Prints one line for each finding, and below it what to do.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_table(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for finding in &report.findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Wrong => "WRONG",
        };
        writeln!(out, "{state:<8} {:<9} {}", finding.check.as_str(), finding.found)?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:<18} -> {remedy}", "")?;
        }
    }
    let count = |state| report.findings.iter().filter(|finding| finding.state == state).count();
    let things = |number: usize| if number == 1 { "1 thing".to_owned() } else { format!("{number} things") };
    match (count(State::Wrong), count(State::Warning)) {
        (0, 0) => writeln!(out, "\nAll is well."),
        (0, warnings) => writeln!(out, "\nNothing is wrong; {} to look at.", things(warnings)),
        (1, _) => writeln!(out, "\n1 thing is wrong."),
        (wrong, _) => writeln!(out, "\n{wrong} things are wrong."),
    }
}

/// Prints the report as one JSON document.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
