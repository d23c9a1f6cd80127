//! The table for people.

use admission::{Attachment, Decision, DeviceSource, Lookup, Need, Network, Outcome, Requirements};
use anstyle::Style;
use contract::{Quoted, annotation, check_label};

use crate::style::{ATTENTION, BAD, GOOD, HEAD};

/// What happens to one pod: its networks, what they need, and why it would be denied.
pub(super) fn table(pod_name: &str, decision: &Decision) -> String {
    let Decision { verdict, attachments, needs } = decision;
    let (style, answer) = match &verdict.outcome {
        Outcome::OutOfScope => {
            (Style::new(), "passes; not the creation of a virt-launcher pod, so not reviewed")
        }
        Outcome::Unchanged => (GOOD, "passes as it is"),
        Outcome::Patched(_) => (GOOD, "passes with changes"),
        Outcome::Denied(_) => (BAD, "denied"),
    };
    let mut lines = vec![format!("{pod_name}: {style}{answer}{style:#}")];
    lines.extend(columns(&["SELECTION", "NAD", "RESOURCE"], attachments.iter().map(selection).collect()));
    let needs = needs.iter().map(|need| {
        let count = |number: u64| number.to_string();
        vec![need.resource.to_string(), count(need.needed), present(need), count(need.added)]
    });
    lines.extend(columns(&["RESOURCE", "NEEDED", "PRESENT", "ADDED"], needs.collect()));
    let warnings = verdict.warnings.iter();
    lines.extend(warnings.map(|warning| format!("  {ATTENTION}warning{ATTENTION:#}: {warning}")));
    lines.extend(verdict.denial().map(|denial| format!("  {}", denial.message)));
    lines.join("\n") + "\n"
}

fn selection(attachment: &Attachment) -> Vec<String> {
    let list = match attachment.annotation {
        annotation::DEFAULT_NETWORK => "default-network",
        _ => "networks",
    };
    let resource = match &attachment.network {
        None => "(ignored)".to_owned(),
        Some(Lookup::Missing) => "(no such NAD)".to_owned(),
        Some(Lookup::Unavailable(_)) => "(not looked up, see below)".to_owned(),
        Some(Lookup::Known(network)) => match &**network {
            Network::Invalid(_) => "(wrong, see below)".to_owned(),
            Network::Valid(requirements) => resources(requirements),
        },
    };
    vec![format!("{list}[{}]", attachment.element), attachment.nad.to_string(), resource]
}

fn resources(requirements: &Requirements) -> String {
    match (&*requirements.resources, requirements.device_source) {
        ([], Some(DeviceSource::ResourceClaim)) => "(from a resource claim)".to_owned(),
        ([], _) => "-".to_owned(),
        (resources, _) => resources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// How many each container requests already.
fn present(need: &Need) -> String {
    if need.holders.is_empty() {
        return "0".to_owned();
    }
    let holders = need.holders.iter().map(|holder| {
        let name = &holder.container;
        // What is not a valid name may be anything.
        let name = if check_label(name).is_ok() { name.clone() } else { Quoted(name).to_string() };
        format!("{} on {name}", holder.count)
    });
    holders.collect::<Vec<_>>().join(", ")
}

/// Rows under their heads, each column as wide as its widest cell; nothing if there are no rows.
fn columns(heads: &[&str], mut rows: Vec<Vec<String>>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    rows.insert(0, heads.iter().map(ToString::to_string).collect());
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |(index, row): (usize, &Vec<String>)| {
        let style = if index == 0 { HEAD } else { Style::new() };
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            // Behind the colour, so that a line does not end in blanks.
            let padding = width.saturating_sub(cell.len());
            format!("  {style}{cell}{style:#}{:padding$}", "")
        });
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().enumerate().map(line).collect()
}
