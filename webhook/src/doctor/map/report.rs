//! The map as a table for people and as JSON for programs.

use std::io::{self, Write};

use anstyle::Style;

use super::{MachineMap, Map};
use crate::doctor::network_map::{Cell, NetworkMap, PodMap, Wanted};
use crate::doctor::report::{write_page, write_remedy};
use crate::doctor::{Finding, State};
use crate::style::{BAD, HEAD, UNKNOWN};

const HEADER: [&str; 10] =
    ["NETWORK", "NAD", "WANTED", "RESOURCE", "VF", "PF", "HOSTDEV", "MAC", "ATTACHED MAC", "DOMAIN"];

/// Prints a table for each virtual machine, and below it what disagrees, and what is needed to fill empty columns.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_table(map: &Map, out: &mut impl Write) -> io::Result<()> {
    for machine in &map.machines {
        write_machine(machine, out)?;
        writeln!(out)?;
    }
    for finding in &map.findings {
        write_finding(finding, "", out)?;
    }
    if map.machines.is_empty() && map.findings.is_empty() {
        writeln!(out, "no VMI has a network that needs a device")?;
    }
    let wrong = |machine: &&MachineMap| machine.findings.iter().any(|finding| finding.state == State::Wrong);
    let wrong = map.machines.iter().filter(wrong).count();
    write_page(map.findings(), out)?;
    let style = map.state().style();
    match (map.state(), map.machines.len()) {
        (_, 0) => Ok(()),
        (State::Ok | State::Note | State::Warning, all) => {
            writeln!(out, "{style}{} with devices; nothing disagrees.{style:#}", vmis(all))
        }
        (State::Unknown, all) => {
            writeln!(out, "{style}{} with devices; not everything could be seen.{style:#}", vmis(all))
        }
        (State::Wrong, all) => {
            writeln!(out, "{style}{wrong} of {} with devices are not right.{style:#}", vmis(all))
        }
    }
}

/// Prints the map as one JSON document.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_json(map: &Map, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, map)?;
    writeln!(out)
}

fn vmis(count: usize) -> String {
    if count == 1 { "1 VMI".to_owned() } else { format!("{count} VMIs") }
}

fn write_machine(machine: &MachineMap, out: &mut impl Write) -> io::Result<()> {
    let MachineMap { namespace, name, phase, pods, findings } = machine;
    let phase = if phase.is_empty() { "no phase yet" } else { phase };
    writeln!(out, "{namespace}/{name}: {phase}")?;
    for PodMap { pod, node, networks } in pods {
        match pod {
            None => writeln!(out, "  no pod")?,
            Some(pod) => writeln!(out, "  pod {pod} on {}", node.as_deref().unwrap_or("no node"))?,
        }
        write_rows(networks, out)?;
        for (column, needs, networks) in needs(networks) {
            writeln!(out, "  ? {column} of {} needs {needs}", networks.join(", "))?;
        }
    }
    findings.iter().try_for_each(|finding| write_finding(finding, "  ", out))
}

fn write_finding(finding: &Finding, indent: &str, out: &mut impl Write) -> io::Result<()> {
    let (state, style) = (finding.state.as_str(), finding.state.style());
    writeln!(out, "{indent}{style}{state:<8}{style:#} {}", finding.found)?;
    write_remedy(finding, &format!("{indent}{:<8}", ""), out)
}

fn write_rows(networks: &[NetworkMap], out: &mut impl Write) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = vec![HEADER.iter().map(ToString::to_string).collect()];
    rows.extend(networks.iter().map(row));
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|text| text.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(text, width)| {
            let style = if index == 0 { HEAD } else { style_of(text) };
            // Behind the colour, so that a line does not end in blanks.
            let padding = width.saturating_sub(text.chars().count());
            format!("{style}{text}{style:#}{:padding$}", "")
        });
        writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// The colour of a cell that [`show`] made.
fn style_of(cell: &str) -> Style {
    match cell.chars().next() {
        Some('!') => BAD,
        Some('?') => UNKNOWN,
        _ => Style::new(),
    }
}

fn row(map: &NetworkMap) -> Vec<String> {
    let network = match map.binding.as_str() {
        "" => map.network.clone(),
        binding => format!("{} ({binding})", map.network),
    };
    let [nad, resource, vf, pf, hostdev, mac, attached, domain] = cells(map).map(|(_, cell)| show(cell));
    vec![network, nad, wanted(&map.wanted), resource, vf, pf, hostdev, mac, attached, domain]
}

/// The columns that are cells, by name.
fn cells(map: &NetworkMap) -> [(&'static str, &Cell); 8] {
    [
        ("NAD", &map.nad),
        ("RESOURCE", &map.resource),
        ("VF", &map.vf),
        ("PF", &map.pf),
        ("HOSTDEV", &map.hostdev),
        ("MAC", &map.mac),
        ("ATTACHED MAC", &map.attached_mac),
        ("DOMAIN", &map.domain),
    ]
}

/// `?` is not known, `-` is nothing, and what disagrees has a `!` in front.
fn show(cell: &Cell) -> String {
    let value = match (&cell.value, &cell.needs) {
        (Some(value), _) => value.as_str(),
        (None, Some(_)) => "?",
        (None, None) => "-",
    };
    if cell.disagrees { format!("!{value}") } else { value.to_owned() }
}

fn wanted(wanted: &Wanted) -> String {
    if wanted.needs.is_some() {
        return "?".to_owned();
    }
    let named = [
        ("VLAN", &wanted.vlan),
        ("trust", &wanted.trust),
        ("spoofchk", &wanted.spoof_check),
        ("link", &wanted.link_state),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let words: Vec<String> = [wanted.plugins.join("+")].into_iter().chain(named).collect();
    let words = words.join(", ");
    if words.is_empty() { "-".to_owned() } else { words }
}

/// What is needed to fill columns, and for which networks.
fn needs(networks: &[NetworkMap]) -> Vec<(&'static str, &str, Vec<&str>)> {
    let mut needs: Vec<(&'static str, &str, Vec<&str>)> = Vec::new();
    for map in networks {
        let wanted = map.wanted.needs.as_deref().map(|needs| ("WANTED", needs));
        let cells =
            cells(map).into_iter().filter_map(|(column, cell)| Some((column, cell.needs.as_deref()?)));
        for (column, need) in wanted.into_iter().chain(cells) {
            match needs.iter_mut().find(|(other, text, _)| *other == column && *text == need) {
                Some((_, _, names)) => names.push(&map.network),
                None => needs.push((column, need, vec![&map.network])),
            }
        }
    }
    needs
}
