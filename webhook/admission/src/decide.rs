//! The decision about one pod.

use std::collections::BTreeMap;

use contract::{NadName, Quoted, ResourceName, annotation};

use super::attachments::{Attachment, attachments};
use super::bounded_messages::BoundedMessages;
use super::ignored::Ignored;
use super::needs::{Misplaced, Need, target};
use super::pod::{Container, Pod};
use super::suggestion::suggestion;
use super::{
    Denial, Options, Outcome, Patch, Reason, Request, Scope, Unresolved, Verdict, audit, launcher_hook,
    pod_patch, podnetinfo,
};
use crate::network::{Networks, NodeLabel, Requirements};

/// For how many unknown networks of one pod a similar one is looked for.
const SUGGESTIONS: usize = 2;

/// The answer about a pod, and all that led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Each network that the pod selects, the default network first and then in the annotation's order.
    pub attachments: Vec<Attachment>,
    /// Each resource that the networks need, in the order of their names.
    pub needs: Vec<Need>,
}

impl Decision {
    /// Nothing but the answer.
    #[must_use]
    pub fn new(verdict: Verdict) -> Self {
        Self { verdict, attachments: Vec::new(), needs: Vec::new() }
    }
}

/// Decides about the pod in `request`.
pub fn decide(request: &Request<'_>, networks: &impl Networks, options: &Options) -> Decision {
    let Some(pod) = &request.object else {
        return Decision::new(Verdict::new(Outcome::OutOfScope));
    };
    if options.scope == Scope::VirtLauncher && !pod.is_virt_launcher() {
        return Decision::new(Verdict::new(Outcome::OutOfScope));
    }
    let namespace = request.namespace();
    let read = Ignored::parse(pod.ignore_networks(), namespace)
        .map_err(|error| Denial { reason: Reason::AnnotationInvalid, message: error.to_string() })
        .and_then(|ignored| {
            attachments(pod, namespace, networks, &ignored, options).map(|read| (ignored, read))
        });
    let (ignored, attachments) = match read {
        Ok(read) => read,
        Err(denial) => return Decision::new(Verdict::denied(denial)),
    };
    let mut warnings = BoundedMessages::default();
    ignored
        .idle(|nad| attachments.iter().any(|one| one.nad == *nad))
        .for_each(|sentence| warnings.add(|| sentence));
    let mut decision = Decision { attachments, ..Decision::new(Verdict::new(Outcome::Unchanged)) };
    if let Err(denial) = evaluate(&mut decision, &mut warnings, pod, namespace, networks, options) {
        decision.verdict.outcome = Outcome::Denied(denial);
    }
    decision.verdict.warnings = warnings.into_vec();
    decision.verdict.unknown = unknown(&decision);
    decision.verdict.audit = audit::annotations(&decision.attachments, &decision.needs);
    decision
}

/// The NADs whose existence would change the answer.
fn unknown(decision: &Decision) -> Vec<NadName> {
    let reason = decision.verdict.denial().map(|denial| denial.reason);
    if !matches!(reason, None | Some(Reason::NetworkUnknown | Reason::NetworkInvalid)) {
        return Vec::new();
    }
    let missing = decision.attachments.iter().filter(|attachment| attachment.is_missing());
    missing.map(|attachment| attachment.nad.clone()).collect()
}

/// Fills in needs, warnings and patch, once the attachments are known.
fn evaluate(
    decision: &mut Decision,
    warnings: &mut BoundedMessages,
    pod: &Pod<'_>,
    namespace: &str,
    networks: &impl Networks,
    options: &Options,
) -> Result<(), Denial> {
    check_isolation(&decision.attachments, namespace, options)?;
    let unresolved = unresolved(&decision.attachments, pod.holds_claims(), namespace, networks, options);
    match options.on_unresolved {
        Unresolved::Warn => unresolved.for_each(|denial| warnings.add(|| denial.message)),
        Unresolved::Deny => join(unresolved)?,
    }

    let mut needed: BTreeMap<&ResourceName, u64> = BTreeMap::new();
    let mut labels: Vec<(&Attachment, &NodeLabel)> = Vec::new();
    for (attachment, requirements) in valid(&decision.attachments) {
        for resource in &requirements.resources {
            *needed.entry(resource).or_default() += 1;
        }
        labels.extend(requirements.node_label.as_ref().map(|label| (attachment, label)));
    }
    let labels = missing_labels(pod, &labels)?;
    let take_devices = valid(&decision.attachments).any(|(_, requirements)| requirements.take_a_device());
    if !take_devices && labels.is_empty() {
        return Ok(());
    }

    let mut patch = Patch::default();
    // The helper finds claimed devices as well, and nothing else is done for them.
    if !needed.is_empty() || take_devices && pod.is_virt_launcher() {
        let (index, target) = target(pod, options.scope)?;
        let needs = needed
            .into_iter()
            .map(|(resource, needed)| Need::of(pod, target, resource, needed))
            .collect::<Result<Vec<_>, _>>()?;
        unclear_claims(&decision.attachments, target, &needs).for_each(|warning| warnings.add(|| warning));
        decision.needs = needs;
        if pod.is_virt_launcher() {
            let misplaced = decision.needs.iter().filter_map(|need| need.misplaced(target));
            join(misplaced.filter_map(|misplaced| match misplaced {
                Misplaced::Instead(denial) => Some(denial),
                Misplaced::Beside(warning) => {
                    warnings.add(|| warning);
                    None
                }
            }))?;
        }
        pod_patch::resources(&mut patch, index, target, &decision.needs);
        if pod.is_virt_launcher() {
            let (attachments, settings) = (&decision.attachments, &options.launcher_hook);
            decision.verdict.helper_added =
                launcher_hook::inject(&mut patch, pod, index, target, attachments, settings)?;
        } else if options.podnetinfo && !decision.needs.is_empty() {
            podnetinfo::mount(&mut patch, pod)?;
        }
    }
    pod_patch::node_selector(&mut patch, pod, &labels);
    decision.verdict.outcome = patch.into();
    Ok(())
}

/// Why nothing is known of what networks require, each network once.
fn unresolved(
    attachments: &[Attachment],
    holds_claims: bool,
    namespace: &str,
    networks: &impl Networks,
    options: &Options,
) -> impl Iterator<Item = Denial> {
    let mut suggestions = SUGGESTIONS;
    attachments.iter().enumerate().filter_map(move |(index, attachment)| {
        let mut problem = attachment.problem()?;
        // A network that is named twice is complained about once.
        let before = attachments.get(..index).unwrap_or_default();
        if before.iter().any(|other| other.nad == attachment.nad && other.problem().is_some()) {
            return None;
        }
        if attachment.is_missing()
            && let Some(left) = suggestions.checked_sub(1)
        {
            suggestions = left;
            let known = suggestion(&attachment.nad, namespace, networks, options);
            problem.message.extend(known.map(|known| format!("; did you mean {known}?")));
        }
        if holds_claims && attachment.has_wrong_resource() {
            let source = annotation::DEVICE_SOURCE;
            problem.message += &format!(
                "; if its device comes from a resource claim of the pod, annotate the NAD with {source}: resource-claim"
            );
        }
        Some(problem)
    })
}

/// The attachments whose NAD is known and valid, with what it requires.
fn valid(attachments: &[Attachment]) -> impl Iterator<Item = (&Attachment, &Requirements)> {
    attachments.iter().filter_map(|attachment| Some((attachment, attachment.requirements()?)))
}

/// A sentence for each network whose device may come from a claim of `target`: then the resource that is added for
/// it is one too many, and the pod waits for a device plugin that does not exist.
fn unclear_claims<'d>(
    attachments: &'d [Attachment],
    target: &'d Container<'_>,
    needs: &'d [Need],
) -> impl Iterator<Item = String> + 'd {
    let added =
        |resource: &ResourceName| needs.iter().any(|need| need.added > 0 && need.resource == *resource);
    let has_claims = target.claims().next().is_some();
    let unclear = valid(attachments).filter(move |(_, requirements)| {
        has_claims && requirements.device_source.is_none() && requirements.resources.iter().any(added)
    });
    unclear.map(|(attachment, _)| {
        format!(
            "container {} holds resource claims, and {}",
            Quoted(target.name()),
            whose_device(&attachment.nad, "its resource is requested, too", "the pod or its VMI")
        )
    })
}

/// What to say of a network whose device may come from a resource claim.
pub(super) fn whose_device(nad: &NadName, consequence: &str, object: &str) -> String {
    let (source, ignore) = (annotation::DEVICE_SOURCE, annotation::IGNORE_NETWORKS);
    format!(
        "nothing says whether the device of NetworkAttachmentDefinition {nad} comes from one: {consequence}. If it \
         comes from a claim, annotate the NAD with {source}: resource-claim, or {object} with {ignore}: {nad}; if \
         not, annotate the NAD with {source}: device-plugin"
    )
}

/// One refusal out of several, with the first one's reason and what the first few say.
fn join(denials: impl Iterator<Item = Denial>) -> Result<(), Denial> {
    let mut first = None;
    let mut sentences = BoundedMessages::default();
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
