//! VMIs and their pods: does each hold what its networks need?

use std::collections::BTreeMap;

use serde_json::Value;

use super::seen;
use crate::admission::{Decision, Denial, Options, Outcome, Reason, Unreadable, decide, read, review_of};
use crate::doctor::facts::{Facts, LauncherPod, Machine};
use crate::doctor::{Check, Finding};
use crate::network::Networks;

const CHECK: Check = Check::Vmi;

pub(super) fn machines(facts: &Facts, options: &Options) -> Vec<Finding> {
    // That KubeVirt is missing is said where KubeVirt is looked at.
    let machines = match facts.machines.as_ref() {
        Some(Err(crate::cluster::Unseen::NotServed { .. })) => return Vec::new(),
        machines => match seen(CHECK, machines) {
            Ok(machines) => machines,
            Err(findings) => return findings,
        },
    };
    let pods = match seen(CHECK, facts.pods.as_ref()) {
        Ok(pods) => pods,
        Err(findings) => return findings,
    };
    let networks = match seen(CHECK, facts.networks.as_ref()) {
        Ok(networks) => networks,
        Err(findings) => return findings,
    };
    let mut by_machine: BTreeMap<&str, Vec<&LauncherPod>> = BTreeMap::new();
    for pod in pods {
        by_machine.entry(&pod.created_by).or_default().push(pod);
    }
    // The helper's image is the release's matter: without one, a pod that has the helper would count as refused.
    let mut options = options.clone();
    options.launcher_hook.image.get_or_insert_with(|| "not looked at".to_owned());
    let mut findings = Vec::new();
    let (mut looked_at, mut well) = (0, 0);
    for machine in machines.iter().filter(|machine| has_sriov(machine)) {
        looked_at += 1;
        let pods = by_machine.get(machine.uid.as_str()).map(Vec::as_slice).unwrap_or_default();
        let found = one(machine, pods, networks, &options);
        well += usize::from(found.is_empty());
        findings.extend(found);
    }
    let summary = match looked_at {
        0 => "none with SR-IOV interfaces".to_owned(),
        _ => format!("{well} of {looked_at} with SR-IOV interfaces hold what their networks need"),
    };
    findings.insert(0, Finding::ok(CHECK, summary));
    findings
}

fn has_sriov(machine: &Machine) -> bool {
    machine.vmi.spec.domain.devices.interfaces.iter().flatten().any(contract::vmi::Interface::is_sriov)
}

fn one(
    machine: &Machine,
    pods: &[&LauncherPod],
    networks: &impl Networks,
    options: &Options,
) -> Vec<Finding> {
    let Machine { namespace, name, .. } = machine;
    if pods.is_empty() {
        return vec![Finding::warning(
            CHECK,
            format!("{namespace}/{name}: has no pod"),
            format!(
                "kubectl --namespace {namespace} describe vmi {name} says why; a refusal of the webhook is there word for word"
            ),
        )];
    }
    pods.iter().filter_map(|pod| lack(machine, pod, networks, options)).collect()
}

fn lack(
    machine: &Machine,
    pod: &LauncherPod,
    networks: &impl Networks,
    options: &Options,
) -> Option<Finding> {
    let vmi = format!("{}/{}", machine.namespace, machine.name);
    let place = format!("{vmi}: pod {}", pod.name);
    let restart = format!(
        "restart the virtual machine: virtctl --namespace {} restart {}; what a pod holds is settled when it is created",
        machine.namespace, machine.name
    );
    let decision = match decision(&pod.pod, networks, options) {
        Ok(decision) => decision,
        Err(denial) => return Some(Finding::wrong(CHECK, format!("{place}: {}", denial.message), restart)),
    };
    if let Outcome::Denied(denial) = &decision.outcome {
        return Some(Finding::wrong(
            CHECK,
            format!("{place} would be refused today: {}", denial.message),
            "put right what the sentence says; the running virtual machine goes on until it is restarted",
        ));
    }
    let lacking: Vec<String> = decision
        .needs
        .iter()
        .filter(|need| need.added > 0)
        .map(|need| format!("{} of {} {}", need.present, need.needed, need.resource))
        .collect();
    if !lacking.is_empty() {
        return Some(Finding::wrong(CHECK, format!("{place} holds {}", lacking.join(", ")), restart));
    }
    pod.unschedulable.as_ref().map(|reason| {
        Finding::warning(
            CHECK,
            format!("{place} has no node: {reason}"),
            "where a resource is insufficient, all its VFs are taken: create more, or stop another virtual machine",
        )
    })
}

/// What the webhook would do with the pod if it were created now.
fn decision(pod: &Value, networks: &impl Networks, options: &Options) -> Result<Decision, Denial> {
    match read(review_of(pod.clone()).to_string().as_bytes()) {
        Ok(request) => Ok(decide(&request, networks, options)),
        Err(Unreadable::Answerable { denial, .. }) => Err(denial),
        Err(Unreadable::NoReview(message)) => Err(Denial { reason: Reason::ObjectUnreadable, message }),
    }
}
