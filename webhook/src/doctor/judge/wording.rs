//! What several findings say alike.

use contract::{NadName, cut};

use crate::doctor::facts::{Misspelt, Nad};

/// Sentences of others are cut to this length.
const LONGEST: usize = 400;

/// So many names in one line; the rest is counted.
const NAMED: usize = 3;

/// An untrusted sentence, on one line and not too long.
pub(super) fn said(text: &str) -> String {
    one_line(text, LONGEST)
}

/// An untrusted text, on one line and no longer than that.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    cut(text, longest).replace(char::is_control, " ")
}

/// How many pods wait.
pub(super) fn pods_wait(count: usize) -> String {
    if count == 1 { "1 pod waits".to_owned() } else { format!("{count} pods wait") }
}

/// On how many nodes.
pub(super) fn on_nodes(count: usize) -> String {
    if count == 1 { "on 1 node".to_owned() } else { format!("on {count} nodes") }
}

/// The first few by name, the others by number.
pub(super) fn some(things: &[impl ToString]) -> String {
    let names: Vec<String> = things.iter().take(NAMED).map(ToString::to_string).collect();
    let more = things.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// What to add to a sentence that the NAD names no resource.
pub(super) fn misspelt(name: &NadName, nad: &Nad) -> String {
    let one = |Misspelt { key, meant }: &Misspelt| {
        format!("; {name} has the annotation {key}: did you mean {meant}?")
    };
    nad.misspelt.iter().map(one).collect()
}

/// What to do about a NAD that names no resource.
pub(super) fn no_resource(name: &NadName) -> String {
    format!(
        "kubectl --namespace {} annotate net-attach-def {} k8s.v1.cni.cncf.io/resourceName=PREFIX/NAME, with the resource \
         that the nodes advertise; then restart the virtual machines that use it",
        name.namespace(),
        name.name()
    )
}
