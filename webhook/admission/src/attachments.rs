//! The networks that a pod selects.

use std::sync::Arc;

use contract::{NadName, NetworkSelection, annotation, parse_default_network, parse_networks};

use super::ignored::Ignored;
use super::pod::Pod;
use super::{Denial, Options, Reason};
use crate::network::{Network, NetworkError, Networks};

/// One network that the pod selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The annotation that selects it.
    pub annotation: &'static str,
    /// Its place in there, the first being 1.
    pub element: usize,
    /// The NAD.
    pub nad: NadName,
    /// What the NAD says; `None` if it is not known, or ignored.
    pub network: Option<Arc<Network>>,
    /// Whether the pod wants it left alone.
    pub ignored: bool,
}

/// Each network that `pod` selects, the default network first and then in the annotation's order.
pub(super) fn attachments(
    pod: &Pod<'_>,
    namespace: &str,
    networks: &impl Networks,
    ignored: &Ignored,
    options: &Options,
) -> Result<Vec<Attachment>, Denial> {
    let invalid = |annotation: &str, problem: &dyn std::fmt::Display| Denial {
        reason: Reason::AnnotationInvalid,
        message: format!("annotation {annotation}: {problem}"),
    };
    let default = match pod.default_network() {
        Some(text) => Some(
            parse_default_network(text, &options.multus_namespace)
                .map_err(|problem| invalid(annotation::DEFAULT_NETWORK, &problem))?,
        ),
        None => None,
    };
    let selections = match pod.networks() {
        Some(text) => {
            parse_networks(text, namespace).map_err(|problem| invalid(annotation::NETWORKS, &problem))?
        }
        None => Vec::new(),
    };
    let attachment = |annotation, index: usize, selection: NetworkSelection| {
        let ignored = ignored.contains(&selection.nad);
        Attachment {
            annotation,
            element: index + 1,
            network: if ignored { None } else { networks.get(&selection.nad) },
            nad: selection.nad,
            ignored,
        }
    };
    let default = default.into_iter().map(|selection| attachment(annotation::DEFAULT_NETWORK, 0, selection));
    let others = selections.into_iter().enumerate();
    Ok(default
        .chain(others.map(|(index, selection)| attachment(annotation::NETWORKS, index, selection)))
        .collect())
}

impl Attachment {
    pub(super) fn is_default(&self) -> bool {
        self.annotation == annotation::DEFAULT_NETWORK
    }

    /// Where it is selected, for messages.
    pub(super) fn place(&self) -> String {
        let Self { annotation, element, .. } = self;
        if self.is_default() {
            format!("annotation {annotation}")
        } else {
            format!("annotation {annotation}: element {element}")
        }
    }

    /// Why nothing is known of what the network requires, if so.
    pub(super) fn problem(&self) -> Option<Denial> {
        let Self { nad, network, ignored, .. } = self;
        let (reason, message) = match network.as_deref() {
            _ if *ignored => return None,
            Some(Network::Valid(_)) => return None,
            Some(Network::Invalid(error)) => (
                match error {
                    NetworkError::Unavailable { .. } => Reason::NetworkUnavailable,
                    _ => Reason::NetworkInvalid,
                },
                format!("{}: NetworkAttachmentDefinition {nad}: {error}", self.place()),
            ),
            None => (
                Reason::NetworkUnknown,
                format!(
                    "{}: NetworkAttachmentDefinition {nad} does not exist: create it, or correct the name{}",
                    self.place(),
                    if self.is_default() {
                        " (without a namespace it is looked for in Multus' own)"
                    } else {
                        ""
                    }
                ),
            ),
        };
        Some(Denial { reason, message })
    }
}
