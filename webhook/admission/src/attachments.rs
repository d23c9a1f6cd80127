//! The networks that a pod selects.

use contract::{NadName, NetworkSelection, annotation, parse_default_network, parse_networks};

use super::claimed::Claimed;
use super::ignored::Ignored;
use super::pod::Pod;
use super::{Denial, Options, Reason};
use crate::network::{Lookup, Network, NetworkError, Networks, Requirements};

/// One network that the pod selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The annotation that selects it.
    pub annotation: &'static str,
    /// Its place in there, the first being 1.
    pub element: usize,
    /// The NAD.
    pub nad: NadName,
    /// What is known of it; `None` if the pod wants it left alone, so that it was not looked up.
    pub network: Option<Lookup>,
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
    let mut claimed = Claimed::of(pod);
    let mut attachment = |annotation, index: usize, selection: NetworkSelection| {
        let network = (!ignored.contains(&selection.nad)).then(|| networks.get(&selection.nad));
        let is_claimed = network.is_some() && claimed.take(&selection.nad);
        let network = if is_claimed { network.map(Lookup::claimed) } else { network };
        Attachment { annotation, element: index + 1, nad: selection.nad, network }
    };
    let mut attachments = Vec::new();
    attachments.extend(default.map(|selection| attachment(annotation::DEFAULT_NETWORK, 0, selection)));
    let others = selections.into_iter().enumerate();
    attachments.extend(others.map(|(index, selection)| attachment(annotation::NETWORKS, index, selection)));
    Ok(attachments)
}

/// Why a NAD that may exist is of no use. The sentence has no subject: the caller names the NAD.
pub(super) fn unavailable(reason: &str) -> String {
    format!("it is not known here and could not be looked up: {reason}: try again")
}

impl Attachment {
    /// Whether the pod wants the network left alone.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.network.is_none()
    }

    /// Whether the NAD does not exist, as far as is known.
    pub(super) fn is_missing(&self) -> bool {
        self.network == Some(Lookup::Missing)
    }

    /// What the network requires, if its NAD is known and valid.
    #[must_use]
    pub fn requirements(&self) -> Option<&Requirements> {
        self.network.as_ref()?.requirements()
    }

    /// Whether the NAD names a resource that no pod can request.
    pub(super) fn has_wrong_resource(&self) -> bool {
        let known = self.network.as_ref().and_then(Lookup::known);
        matches!(known, Some(Network::Invalid(NetworkError::Resource { .. })))
    }

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
        let named = || format!("{}: NetworkAttachmentDefinition {}", self.place(), self.nad);
        let (reason, message) = match self.network.as_ref()? {
            Lookup::Known(network) => match &**network {
                Network::Valid(_) => return None,
                Network::Invalid(error) => (Reason::NetworkInvalid, format!("{}: {error}", named())),
            },
            Lookup::Unavailable(reason) => {
                (Reason::NetworkUnavailable, format!("{}: {}", named(), unavailable(reason)))
            }
            Lookup::Missing => (
                Reason::NetworkUnknown,
                format!(
                    "{} does not exist: create it, or correct the name{}",
                    named(),
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
