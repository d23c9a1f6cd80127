//! The final look at a pod, when it is as it will be stored: whether the webhooks before left it what its networks need.
//!
//! It is the decision of [`decide()`](fn@super::decide) once more. On a pod that was decided before and not changed since,
//! that decision changes nothing; whatever it would still change is missing.

use super::decide::{Decision, decide};
use super::needs::Need;
use super::{Denial, FinalLook, Options, Outcome, Patch, Reason, Request, Verdict};
use crate::network::Networks;

/// Decides whether the pod in `request` may be stored as it is. The outcome is never a patch.
pub fn decide_final(request: &Request<'_>, networks: &impl Networks, options: &Options) -> Decision {
    let mut decision = decide(request, networks, options);
    let missing = match &decision.verdict.outcome {
        Outcome::Patched(patch) => {
            Some(Denial { reason: Reason::Incomplete, message: missing(&decision, patch) })
        }
        Outcome::Denied(denial) => Some(denial.clone()),
        Outcome::OutOfScope | Outcome::Unchanged => None,
    };
    let Verdict { outcome, warnings, unknown: _, helper_added, audit: _ } = &mut decision.verdict;
    // Said when the pod could still be changed.
    warnings.clear();
    *helper_added = false;
    if let Some(denial) = missing {
        *outcome = match options.final_look {
            FinalLook::Deny => Outcome::Denied(denial),
            FinalLook::Warn => {
                warnings.push(denial.message);
                Outcome::Unchanged
            }
        };
    }
    decision
}

/// What `patch` would still add, in a sentence.
fn missing(decision: &Decision, patch: &Patch) -> String {
    let mut parts: Vec<String> = decision.needs.iter().filter_map(lack).collect();
    if decision.verdict.helper_added {
        parts.push("launcher-hook is not injected".to_owned());
    }
    let touches = |field: &str| patch.iter().any(|operation| operation.path().to_string().starts_with(field));
    if touches("/spec/nodeSelector") {
        parts.push("spec.nodeSelector lacks a label of the nodes that its networks are on".to_owned());
    }
    if parts.is_empty() {
        // Nothing else is added to pods that need neither.
        parts.push("/etc/podnetinfo is not mounted".to_owned());
    }
    format!(
        "the pod would be stored without what its networks need: {}. The webhook that adds it was not called or did not \
         answer, or another one undid its changes afterwards: find it among `kubectl get mutatingwebhookconfigurations`, \
         then create the pod again",
        parts.join("; ")
    )
}

fn lack(need: &Need) -> Option<String> {
    let Need { resource, needed, present, added, settled, .. } = need;
    match (added, settled) {
        (0, true) => None,
        (0, false) => Some(format!("requests and limits of {resource} differ")),
        _ => Some(format!("it requests {present} of {needed} {resource}")),
    }
}
