//! The report as a table for people, as lines for scripts, and as JSON for programs.

use std::io::{self, Write};

use super::{Code, Finding, Report, State};
use crate::style::REMEDY;

/// Prints one line for each finding, and below it what to do.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_table(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for finding in &report.findings {
        let (state, style) = (finding.state.as_str(), finding.state.style());
        writeln!(out, "{style}{state:<8}{style:#} {:<9} {}", finding.check.as_str(), finding.found)?;
        write_remedy(finding, &format!("{:<18}", ""), out)?;
    }
    let count = |state| report.findings.iter().filter(|finding| finding.state == state).count();
    let things = |number: usize| if number == 1 { "1 thing".to_owned() } else { format!("{number} things") };
    let (wrong, unknown, warnings) = (count(State::Wrong), count(State::Unknown), count(State::Warning));
    let notes = count(State::Note);
    let unknown =
        if unknown > 0 { format!("; {} could not be seen", things(unknown)) } else { String::new() };
    let verdict = match (wrong, warnings) {
        (0, 0) if unknown.is_empty() && notes == 0 => "All is well".to_owned(),
        (0, 0) if unknown.is_empty() => {
            format!("All that was looked at is well; {} not looked at", were(notes))
        }
        (0, 0) => "Nothing wrong was seen".to_owned(),
        (0, warnings) if unknown.is_empty() => format!("Nothing is wrong; {} to look at", things(warnings)),
        (0, warnings) => format!("Nothing wrong was seen; {} to look at", things(warnings)),
        (1, _) => "1 thing is wrong".to_owned(),
        (wrong, _) => format!("{wrong} things are wrong"),
    };
    let style = report.state().style();
    writeln!(out)?;
    write_page(&report.findings, out)?;
    writeln!(out, "{style}{verdict}{unknown}.{style:#}")
}

fn were(number: usize) -> String {
    if number == 1 { "1 thing was".to_owned() } else { format!("{number} things were") }
}

/// What to do about a finding, and its code.
pub(super) fn write_remedy(finding: &Finding, indent: &str, out: &mut impl Write) -> io::Result<()> {
    let Some(remedy) = &finding.remedy else { return Ok(()) };
    write!(out, "{indent} {REMEDY}->{REMEDY:#} {remedy}")?;
    match finding.code {
        Some(code) => writeln!(out, " {REMEDY}[{code}]{REMEDY:#}"),
        None => writeln!(out),
    }
}

/// Where the codes are explained, if there is one.
pub(super) fn write_page<'f>(
    findings: impl IntoIterator<Item = &'f Finding>,
    out: &mut impl Write,
) -> io::Result<()> {
    if findings.into_iter().all(|finding| finding.code.is_none()) {
        return Ok(());
    }
    writeln!(out, "Each [code] is explained at {}", Code::PAGE)
}

/// Prints one line for each finding: state, check, code and object as words, `-` for none, then what was seen.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_short<'f>(
    findings: impl IntoIterator<Item = &'f Finding>,
    out: &mut impl Write,
) -> io::Result<()> {
    for Finding { check, state, code, object, found, .. } in findings {
        let code = code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let object = object.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let state = state.as_str().to_lowercase();
        writeln!(out, "{state} {} {code} {object} {}", check.as_str(), found.replace('\n', " "))?;
    }
    Ok(())
}

/// Prints the report as one JSON document.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
