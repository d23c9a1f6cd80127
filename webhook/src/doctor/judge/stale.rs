//! Devices that were allocated before a restart of the node, and may be others' or gone since.
//!
//! An API server does not say when a node was started. What it does say: when the kubelet admitted a pod (then it
//! allocated the devices), since when `compute` runs, since when the node is ready, which devices are unhealthy, and
//! for an hour the event in which a kubelet reports a restart of its node.

use k8s_openapi::jiff::Timestamp;

use super::wording::said;
use crate::doctor::facts::{Ended, Facts, LauncherPod, Machine, Node};
use crate::doctor::{Check, Code, Finding};

const CHECK: Check = Check::Vmi;

/// Whether events could tell more about a pod: its node became ready again after it was admitted.
pub(crate) fn may_be_stale(facts: &Facts) -> bool {
    let pods = facts.pods.iter().flatten().flatten();
    pods.filter(|pod| pod.is_live()).any(|pod| ready_again(pod, facts).is_some())
}

/// When the pod was admitted, and when its node became ready after that.
fn ready_again(pod: &LauncherPod, facts: &Facts) -> Option<(Timestamp, Timestamp)> {
    let nodes: &[Node] = facts.nodes.as_ref()?.as_ref().ok()?;
    let node = nodes.iter().find(|node| pod.node.as_ref() == Some(&node.name))?;
    let ready = node.ready.as_ref().filter(|ready| ready.is_true)?;
    let (admitted, since) = (pod.admitted?, ready.since?);
    (admitted < since).then_some((admitted, since))
}

/// What is known or feared of the devices of a pod.
pub(super) fn findings(machine: &Machine, pod: &LauncherPod, facts: &Facts) -> Vec<Finding> {
    let place = format!("{}: pod {}", machine.full_name(), pod.name);
    let mut findings: Vec<Finding> = Vec::new();
    for device in pod.devices.iter().filter(|device| device.health == "Unhealthy") {
        findings.push(Finding::wrong(
            CHECK,
            Code::DeviceUnhealthy,
            format!("{place}: its device {} of {} is unhealthy", device.id, device.resource),
            format!("see the device plugin's log on the node: is the VF gone? Then {}", delete(pod)),
        ));
    }
    findings.extend(restarted(machine, pod, facts, &place));
    findings
}

fn restarted(machine: &Machine, pod: &LauncherPod, facts: &Facts, place: &str) -> Option<Finding> {
    let (admitted, ready) = ready_again(pod, facts)?;
    let node = pod.node.as_deref()?;
    let events = facts.restarts.as_ref()?;
    if let Ok(restarts) = events
        && let Some(restart) = restarts.get(node).filter(|restart| **restart > admitted)
    {
        return Some(Finding::wrong(
            CHECK,
            Code::DevicesStale,
            format!(
                "{place}: its devices were allocated at {admitted}, and node {node} was restarted at {restart}: they are stale"
            ),
            delete(pod),
        ));
    }
    // A container that has run since before is proof that the node was not restarted, and a domain that runs with
    // its devices that they are not stale.
    let ran_on = pod.running_since.is_some_and(|since| since <= ready);
    if ran_on || machine.status.is_running() {
        return None;
    }
    let events = match events {
        Ok(_) => "the node's events, which are kept for an hour, do not say".to_owned(),
        Err(unseen) => unseen.sentence(),
    };
    Some(Finding::unknown(
        CHECK,
        Code::DevicesMayBeStale,
        format!(
            "{place}: its devices were allocated at {admitted}, and node {node} became ready at {ready}: whether it was \
             restarted cannot be seen ({events})"
        ),
        format!("last reboot, on the node, says; if it was, the devices are stale: {}", delete(pod)),
    ))
}

/// A pod that its kubelet refused because it could not allocate its devices.
pub(super) fn refused(machine: &Machine, pod: &LauncherPod) -> Option<Finding> {
    const REASON: &str = "UnexpectedAdmissionError";
    let Ended { message, .. } = pod.ended.as_ref().filter(|ended| ended.reason == REASON)?;
    Some(Finding::wrong(
        CHECK,
        Code::DevicesNotAllocated,
        format!("{}: pod {}: {REASON}: {}", machine.full_name(), pod.name, said(message)),
        format!(
            "the kubelet of node {} could not allocate its devices: after a restart of the node, the device plugin was not \
             ready yet. When the node advertises them again, {}",
            pod.node.as_deref().unwrap_or("(none)"),
            delete(pod)
        ),
    ))
}

fn delete(pod: &LauncherPod) -> String {
    format!(
        "delete the pod: kubectl --namespace {} delete pod {}; a VirtualMachine gets a new one, a VMI without one has to \
         be created again",
        pod.namespace, pod.name
    )
}
