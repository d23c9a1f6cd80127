//! The decision about one pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{
    NadName, NetworkSelection, Quoted, ResourceName, annotation, parse_default_network, parse_networks,
};

use super::needs::{Need, target};
use super::pod::Pod;
use super::sentences::Sentences;
use super::{
    Denial, NOTHING, Options, Patch, Reason, Request, Scope, Unresolved, launcher_hook, patch, podnetinfo,
};
use crate::network::{Network, NetworkError, Networks, NodeLabel};

/// What is to be answered about a pod, and all that led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The answer.
    pub outcome: Outcome,
    /// Each network that the pod selects, the default network first and then in the annotation's order.
    pub attachments: Vec<Attachment>,
    /// Each resource that the networks need, in the order of their names.
    pub needs: Vec<Need>,
    /// What the pod's author should know although the pod passes.
    pub warnings: Vec<String>,
    /// Whether launcher-hook is put in.
    pub helper_added: bool,
}

/// The answer to a review.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Not ours to judge: no virt-launcher pod, or not the creation of one.
    OutOfScope,
    /// The pod passes as it is.
    Unchanged,
    /// The pod passes with these changes.
    Patched(Patch),
    /// The pod does not pass.
    Denied(Denial),
}

/// One network that the pod selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The annotation it stands in.
    pub annotation: &'static str,
    /// Its place in there, the first being 1.
    pub element: usize,
    /// The NAD.
    pub nad: NadName,
    /// What the NAD says; `None` where it is not known.
    pub network: Option<Arc<Network>>,
}

impl Decision {
    /// Nothing but the answer.
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            attachments: Vec::new(),
            needs: Vec::new(),
            warnings: Vec::new(),
            helper_added: false,
        }
    }

    /// The NADs that nobody has heard of: worth looking up, and deciding again.
    pub fn unknown(&self) -> impl Iterator<Item = &NadName> {
        self.attachments.iter().filter(|attachment| attachment.network.is_none()).map(|known| &known.nad)
    }
}

impl Outcome {
    /// What changes.
    #[must_use]
    pub fn patch(&self) -> &Patch {
        match self {
            Self::Patched(patch) => patch,
            Self::OutOfScope | Self::Unchanged | Self::Denied(_) => &NOTHING,
        }
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::OutOfScope => "out_of_scope",
            Self::Unchanged => "unchanged",
            Self::Patched(_) => "patched",
            Self::Denied(_) => "denied",
        }
    }
}

/// Decides about the pod in `request`.
pub fn decide(request: &Request<'_>, networks: &impl Networks, options: &Options) -> Decision {
    let Some(pod) = &request.object else {
        return Decision::new(Outcome::OutOfScope);
    };
    if options.scope == Scope::VirtLauncher && !pod.is_virt_launcher() {
        return Decision::new(Outcome::OutOfScope);
    }
    let namespace = request.namespace();
    let attachments = match attachments(pod, namespace, networks, options) {
        Ok(attachments) => attachments,
        Err(denial) => return Decision::new(Outcome::Denied(denial)),
    };
    let mut decision = Decision { attachments, ..Decision::new(Outcome::Unchanged) };
    if let Err(denial) = fill(&mut decision, pod, namespace, options) {
        decision.outcome = Outcome::Denied(denial);
    }
    decision
}

/// Fills in needs, warnings and patch, once the attachments stand.
fn fill(decision: &mut Decision, pod: &Pod<'_>, namespace: &str, options: &Options) -> Result<(), Denial> {
    check_isolation(&decision.attachments, namespace, options)?;
    let attachments = decision.attachments.as_slice();
    let unresolved = attachments.iter().enumerate().filter_map(|(index, attachment)| {
        let problem = attachment.problem()?;
        // Of a network that is named twice it is said once.
        let before = attachments.get(..index).unwrap_or_default();
        (!before.iter().any(|other| other.nad == attachment.nad)).then_some(problem)
    });
    match options.on_unresolved {
        Unresolved::Warn => {
            let mut warnings = Sentences::default();
            unresolved.for_each(|denial| warnings.add(|| denial.message));
            decision.warnings = warnings.into_vec();
        }
        Unresolved::Deny => join(unresolved)?,
    }

    let valid = || {
        decision.attachments.iter().filter_map(|attachment| match attachment.network.as_deref() {
            Some(Network::Valid(requirements)) => Some((attachment, requirements)),
            _ => None,
        })
    };
    let mut needed: BTreeMap<&ResourceName, u64> = BTreeMap::new();
    let mut labels: Vec<(&Attachment, &NodeLabel)> = Vec::new();
    for (attachment, requirements) in valid() {
        for resource in &requirements.resources {
            *needed.entry(resource).or_default() += 1;
        }
        labels.extend(requirements.node_label.as_ref().map(|label| (attachment, label)));
    }
    let labels = missing_labels(pod, &labels)?;
    if needed.is_empty() && labels.is_empty() {
        return Ok(());
    }

    let mut patch = Patch::default();
    if !needed.is_empty() {
        let (index, target) = target(pod, options.scope)?;
        let needs = needed
            .into_iter()
            .map(|(resource, needed)| Need::of(pod, target, resource, needed))
            .collect::<Result<Vec<_>, _>>()?;
        patch::resources(&mut patch, index, target, &needs);
        if pod.is_virt_launcher() {
            let (attachments, settings) = (&decision.attachments, &options.launcher_hook);
            decision.helper_added =
                launcher_hook::put_in(&mut patch, pod, index, target, attachments, settings)?;
        } else if options.podnetinfo {
            podnetinfo::put_in(&mut patch, pod)?;
        }
        decision.needs = needs;
    }
    patch::node_selector(&mut patch, pod, &labels);
    if !patch.is_empty() {
        decision.outcome = Outcome::Patched(patch);
    }
    Ok(())
}

fn attachments(
    pod: &Pod<'_>,
    namespace: &str,
    networks: &impl Networks,
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
    let attachment = |annotation, index: usize, selection: NetworkSelection| Attachment {
        annotation,
        element: index + 1,
        network: networks.get(&selection.nad),
        nad: selection.nad,
    };
    let default = default.into_iter().map(|selection| attachment(annotation::DEFAULT_NETWORK, 0, selection));
    let others = selections.into_iter().enumerate();
    Ok(default
        .chain(others.map(|(index, selection)| attachment(annotation::NETWORKS, index, selection)))
        .collect())
}

impl Attachment {
    fn is_default(&self) -> bool {
        self.annotation == annotation::DEFAULT_NETWORK
    }

    /// Where it stands, for messages.
    fn place(&self) -> String {
        let Self { annotation, element, .. } = self;
        if self.is_default() {
            format!("annotation {annotation}")
        } else {
            format!("annotation {annotation}: element {element}")
        }
    }

    /// Why the NAD says nothing usable, if so.
    fn problem(&self) -> Option<Denial> {
        let Self { nad, network, .. } = self;
        let (reason, message) = match network.as_deref() {
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

/// One refusal out of several, with the first one's reason and what the first few say.
fn join(denials: impl Iterator<Item = Denial>) -> Result<(), Denial> {
    let mut first = None;
    let mut sentences = Sentences::default();
    for Denial { reason, message } in denials {
        first.get_or_insert(reason);
        sentences.add(|| message);
    }
    match first {
        None => Ok(()),
        Some(reason) => Err(Denial { reason, message: sentences.into_vec().join("; ") }),
    }
}

fn check_isolation(attachments: &[Attachment], namespace: &str, options: &Options) -> Result<(), Denial> {
    if !options.namespace_isolation {
        return Ok(());
    }
    let isolated = |one: &&Attachment| options.isolates(namespace, &one.nad, one.is_default());
    join(attachments.iter().filter(isolated).map(|attachment| Denial {
        reason: Reason::NamespaceIsolated,
        message: format!(
            "{}: a pod in namespace {namespace} may not use NetworkAttachmentDefinition {}: use one of {}",
            attachment.place(),
            attachment.nad,
            options.usable_namespaces(attachment.is_default())
        ),
    }))
}

/// The labels that the pod's node selector lacks.
fn missing_labels<'n>(
    pod: &Pod<'_>,
    wanted: &[(&Attachment, &'n NodeLabel)],
) -> Result<BTreeMap<&'n str, &'n str>, Denial> {
    let mut missing: BTreeMap<&str, (&str, &NadName)> = BTreeMap::new();
    for (Attachment { nad, .. }, label) in wanted {
        let conflict = |with: String, value: &str| Denial {
            reason: Reason::NodeSelectorConflict,
            message: format!(
                "NetworkAttachmentDefinition {nad} wants nodes with {label}, but {with} wants {}={}: no node has \
                 both; remove one of them",
                label.key,
                Quoted(value)
            ),
        };
        let own = pod.spec.node_selector.as_ref().and_then(|entries| entries.get(label.key.as_str()));
        if let Some(own) = own {
            let own = own.as_deref().unwrap_or_default();
            if own != label.value {
                return Err(conflict("the pod's own nodeSelector".to_owned(), own));
            }
        } else if let Some((value, other)) = missing.insert(&label.key, (&label.value, nad))
            && value != label.value
        {
            return Err(conflict(format!("NetworkAttachmentDefinition {other}"), value));
        }
    }
    Ok(missing.into_iter().map(|(key, (value, _))| (key, value)).collect())
}
