//! The map as a table.

use std::io::{self, Write};

use anstyle::Style;

use super::map::{COLUMNS, Map, Row};
use crate::check::colours::{BAD, REMEDY};

/// Prints the networks side by side, from the NAD down to the PF; then what disagrees, which is marked with `!` in the
/// table, and what would fill its empty places.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_table(map: &Map, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nVirtual machine {}\n", map.name)?;
    if map.networks.is_empty() {
        return writeln!(out, "None of its networks needs a VF.");
    }
    let widths: Vec<_> = map.networks.iter().map(width).collect();
    let names: Vec<_> = map.networks.iter().map(|row| row.network.clone()).collect();
    write_line(out, "network", &names, &widths)?;
    for column in COLUMNS {
        let cells: Vec<_> = map.networks.iter().map(|row| cell(row, column)).collect();
        write_line(out, column, &cells, &widths)?;
    }
    writeln!(out)?;
    for row in &map.networks {
        for problem in &row.problems {
            writeln!(out, "{BAD}!{BAD:#} {} {}: {}", row.network, problem.column, problem.found)?;
            writeln!(out, "    {REMEDY}->{REMEDY:#} {}", problem.remedy)?;
        }
    }
    for warning in &map.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for (need, columns) in needs(map) {
        writeln!(out, "for {}: {need}", columns.join(", "))?;
    }
    let problems: usize = map.networks.iter().map(|row| row.problems.len()).sum();
    match problems {
        0 => writeln!(out, "Nothing disagrees."),
        1 => writeln!(out, "{BAD}1 thing disagrees.{BAD:#}"),
        several => writeln!(out, "{BAD}{several} things disagree.{BAD:#}"),
    }
}

fn write_line(out: &mut impl Write, head: &str, cells: &[String], widths: &[usize]) -> io::Result<()> {
    let padded = cells.iter().zip(widths).map(|(cell, width)| {
        let style = if cell.starts_with('!') { BAD } else { Style::new() };
        // Behind the colour, so that a line does not end in blanks.
        let padding = width.saturating_sub(cell.chars().count());
        format!("{style}{cell}{style:#}{:padding$}", "")
    });
    let line = format!("{head:<10} {}", padded.collect::<Vec<_>>().join("  "));
    writeln!(out, "{}", line.trim_end())
}

/// How much room a network takes.
fn width(row: &Row) -> usize {
    let cells = COLUMNS.iter().map(|column| cell(row, column)).chain([row.network.clone()]);
    cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
}

fn cell(row: &Row, column: &'static str) -> String {
    let value = row.columns.get(column).and_then(Option::as_deref).unwrap_or("-");
    let differs = row.problems.iter().any(|problem| problem.column == column);
    format!("{}{value}", if differs { "! " } else { "" })
}

/// What is needed, each with the columns that it would fill.
fn needs(map: &Map) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut needs: Vec<(&str, Vec<&str>)> = Vec::new();
    for column in COLUMNS {
        let Some(need) = map.needed.get(column) else { continue };
        match needs.iter_mut().find(|(one, _)| one == need) {
            Some((_, columns)) => columns.push(column),
            None => needs.push((need, vec![column])),
        }
    }
    needs
}
