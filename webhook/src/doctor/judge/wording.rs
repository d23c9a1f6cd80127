//! What several findings say alike.

use contract::{NadName, cut};

use crate::doctor::facts::{Misspelt, Nad};

/// Sentences of others are cut to this length.
const LONGEST: usize = 400;

/// An untrusted sentence, on one line and not too long.
pub(super) fn said(text: &str) -> String {
    cut(text, LONGEST).replace(char::is_control, " ")
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
