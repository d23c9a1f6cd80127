//! The network selection annotations, in both grammars and just as Multus reads them.
//!
//! Source: multus-cni 4.3, `pkg/k8sclient`, `parsePodNetworkAnnotation`. Where Multus takes a text and then
//! fails (an empty name, a `null` in the list, a name that is not a DNS name), the text is refused here.

mod json;

use std::net::IpAddr;

use thiserror::Error;

use crate::{
    LONGEST_LIST, MacAddress, MacAddressError, NadName, NadNameError, NameError, Quoted, check_label,
};

/// One attachment that a pod asks Multus for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSelection {
    /// The NetworkAttachmentDefinition, with the namespace that applies if none was written.
    pub nad: NadName,
    /// Name of the interface inside the pod; Multus counts `net1`, `net2` … if there is none.
    pub interface: Option<String>,
    /// The MAC address that the attachment is to have.
    pub mac: Option<MacAddress>,
    /// The device that the attachment is to have, where the selection names one (`deviceID`).
    pub device_id: Option<String>,
}

/// Why an annotation is not a list of network selections. The sentence has no subject: the caller names the
/// annotation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectionError {
    /// A value with any of `[`, `{`, `"` in it is JSON for Multus, and this one is not.
    #[error(
        "it is not a JSON list ({problem}): write [{{\"name\":\"NAME\",\"namespace\":\"NAMESPACE\"}}], or a \
         comma list of [NAMESPACE/]NAME[@INTERFACE]"
    )]
    Json {
        /// What the JSON parser says.
        problem: String,
    },
    /// One element of the list.
    #[error("element {element}: {problem}")]
    Element {
        /// Its place in the list, the first being 1.
        element: usize,
        /// What is wrong with it.
        problem: ElementError,
    },
    /// More than any pod has.
    #[error(
        "it names {found} networks, and {LONGEST_LIST} is the most: remove those that the pod does not need"
    )]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// The default network annotation takes one entry.
    #[error("it names {found} networks; the default network is one: remove the others")]
    NotOne {
        /// How many there are.
        found: usize,
    },
}

/// What is wrong with one element of a network selection annotation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElementError {
    /// Not a JSON object with values of the right kinds.
    #[error("{} is not a network selection ({problem})", Quoted(.value))]
    Json {
        /// The element as it was written.
        value: String,
        /// What the JSON parser says.
        problem: String,
    },
    /// More than one `/` or `@` in the comma form.
    #[error("{} has more than one '{separator}': write [NAMESPACE/]NAME[@INTERFACE]", Quoted(.value))]
    Separators {
        /// The element as it was written.
        value: String,
        /// The character that is there too often.
        separator: char,
    },
    /// No name.
    #[error("{} names no NetworkAttachmentDefinition: give it a name, or remove it", Quoted(.value))]
    NoName {
        /// The element as it was written.
        value: String,
    },
    /// In the comma form Multus takes no dots in a name.
    #[error(
        "NAD name {} {problem} (in a comma list; the JSON form takes names with dots)",
        Quoted(.value)
    )]
    CommaName {
        /// The name found.
        value: String,
        /// The rule that it breaks.
        problem: NameError,
    },
    /// In the JSON form the namespace has a key of its own.
    #[error(
        "NAD name \"{nad}\" has the character '/': write {{\"name\":\"{}\",\"namespace\":\"{}\"}} (the JSON form has \
         the namespace in a key of its own)",
        .nad.name(),
        .nad.namespace()
    )]
    NameWithNamespace {
        /// What was meant.
        nad: NadName,
    },
    /// Namespace or name.
    #[error(transparent)]
    Nad(#[from] NadNameError),
    /// An interface name that Linux would refuse.
    #[error("interface {} is not an interface name: at most 15 bytes, without '/' and white space", Quoted(.value))]
    Interface {
        /// The name found.
        value: String,
    },
    /// `mac` or `infiniband-guid`.
    #[error("{field}: {problem}")]
    Mac {
        /// The key in question.
        field: &'static str,
        /// What is wrong with its value.
        problem: MacAddressError,
    },
    /// One of `ips` or of `default-route`.
    #[error("{field}: {} is not an IP address", Quoted(.value))]
    Address {
        /// The key in question.
        field: &'static str,
        /// The text found.
        value: String,
    },
}

/// Reads the annotation [`NETWORKS`](crate::annotation::NETWORKS). Empty means no networks.
///
/// `pod_namespace` is where NADs without a namespace are looked for.
///
/// # Errors
/// The first element that Multus could not attach.
pub fn parse_networks(text: &str, pod_namespace: &str) -> Result<Vec<NetworkSelection>, SelectionError> {
    if text.is_empty() {
        Ok(Vec::new())
    } else if text.contains(['[', '{', '"']) {
        json::parse(text, pod_namespace)
    } else {
        let mut elements = text.split(',');
        let selections = elements
            .by_ref()
            .take(LONGEST_LIST)
            .enumerate()
            .map(|(index, element)| {
                parse_comma_element(element.trim(), pod_namespace)
                    .map_err(|problem| SelectionError::Element { element: index + 1, problem })
            })
            .collect::<Result<_, _>>()?;
        match elements.count() {
            0 => Ok(selections),
            more => Err(SelectionError::TooMany { found: LONGEST_LIST + more }),
        }
    }
}

/// Reads the annotation [`DEFAULT_NETWORK`](crate::annotation::DEFAULT_NETWORK).
///
/// `multus_namespace` is the namespace Multus is configured with, normally `kube-system`; the pod's own
/// plays no part.
///
/// # Errors
/// As [`parse_networks`], and where there is not just one entry.
pub fn parse_default_network(text: &str, multus_namespace: &str) -> Result<NetworkSelection, SelectionError> {
    let mut networks = parse_networks(text, multus_namespace)?;
    match (networks.pop(), networks.len()) {
        (Some(network), 0) => Ok(network),
        (None, _) => Err(SelectionError::NotOne { found: 0 }),
        (Some(_), others) => Err(SelectionError::NotOne { found: others + 1 }),
    }
}

fn parse_comma_element(text: &str, default_namespace: &str) -> Result<NetworkSelection, ElementError> {
    let separators = |separator| ElementError::Separators { value: text.to_owned(), separator };
    let (namespace, rest) = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return Err(separators('/')),
        Some((namespace, rest)) => (namespace.trim(), rest),
        None => ("", text),
    };
    let (name, interface) = match rest.split_once('@') {
        Some((_, rest)) if rest.contains('@') => return Err(separators('@')),
        Some((name, interface)) => (name.trim(), interface.trim()),
        None => (rest.trim(), ""),
    };
    if name.is_empty() {
        return Err(ElementError::NoName { value: text.to_owned() });
    }
    check_label(name).map_err(|problem| ElementError::CommaName { value: name.to_owned(), problem })?;
    Ok(NetworkSelection {
        nad: nad(namespace, name, default_namespace)?,
        interface: interface_name(interface)?,
        mac: None,
        device_id: None,
    })
}

fn nad(namespace: &str, name: &str, default_namespace: &str) -> Result<NadName, NadNameError> {
    NadName::new(if namespace.is_empty() { default_namespace } else { namespace }, name)
}

fn interface_name(text: &str) -> Result<Option<String>, ElementError> {
    if text.len() > 15 || text.contains(['/', ' ', '\t', '\n', '\u{b}', '\u{c}', '\r']) {
        return Err(ElementError::Interface { value: text.to_owned() });
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn mac(field: &'static str, text: &str) -> Result<Option<MacAddress>, ElementError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|problem| ElementError::Mac { field, problem })
}

/// An address alone, or with a prefix length behind a `/`.
fn check_address(field: &'static str, text: &str) -> Result<(), ElementError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let bits = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let valid = address.parse().ok().map(bits).is_some_and(|bits: u8| {
        prefix.is_none_or(|prefix| {
            prefix.bytes().all(|byte| byte.is_ascii_digit())
                && prefix.parse::<u8>().is_ok_and(|length| length <= bits)
        })
    });
    if valid { Ok(()) } else { Err(ElementError::Address { field, value: text.to_owned() }) }
}

#[cfg(test)]
mod tests;
