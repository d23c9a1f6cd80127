//! Resources that a DeviceClass serves: Dynamic Resource Allocation (DRA).

use std::collections::BTreeSet;

use apiserver::Failure;

use super::wording::{on_nodes, pods_wait, said, some};
use crate::doctor::facts::{DeviceClass, DeviceId, Dra, DraDevice, LauncherPod};
use crate::doctor::{Check, Code, Finding};

const CHECK: Check = Check::Resource;

/// What the scheduler says of a pod for whose claims it finds no devices.
///
/// Source: Kubernetes 1.36, `pkg/scheduler/framework/plugins/dynamicresources`.
const NO_DEVICES: &str = "cannot allocate all claims";

/// A resource whose devices are from a DeviceClass, on nodes that do not advertise it.
pub(super) struct Served<'f> {
    dra: &'f Dra,
    class: &'f DeviceClass,
    resource: &'f str,
}

/// What the devices of a class are, as far as that can be said.
struct Count<'f> {
    devices: Vec<&'f DraDevice>,
    /// Those that no claim has; `None` if claims cannot be seen.
    free: Option<usize>,
    tainted: usize,
}

/// A resource that a DeviceClass serves; `None` if none does, as far as is known.
pub(super) fn served<'f>(dra: Option<&'f Result<Dra, Failure>>, resource: &'f str) -> Option<Served<'f>> {
    let dra = dra?.as_ref().ok()?;
    Some(Served { dra, class: dra.class_for(resource)?, resource })
}

/// Why it is not known whether a DeviceClass serves a resource. A cluster without the API has no DeviceClasses.
pub(super) fn unseen(dra: Option<&Result<Dra, Failure>>) -> Option<String> {
    let failure = dra?.as_ref().err().filter(|failure| !failure.is_not_served())?;
    Some(failure.sentence())
}

/// What to add to a sentence that no node advertises a resource.
pub(super) fn nor_served(dra: Option<&Result<Dra, Failure>>) -> &'static str {
    match dra {
        Some(Ok(_)) => ", and no DeviceClass serves it (DRA)",
        Some(Err(failure)) if failure.is_not_served() => {
            ", and the cluster has no DeviceClasses that could serve it (Kubernetes 1.34 and later have them)"
        }
        _ => "",
    }
}

impl Served<'_> {
    /// What is known of a resource that no node advertises; `by` says which NADs name it.
    pub(super) fn alone(&self, by: &str, pods: &[LauncherPod]) -> Finding {
        self.finding(&format!("; {by}"), pods)
    }

    /// The same of one that some nodes advertise, and others do not.
    pub(super) fn beside(&self, pods: &[LauncherPod]) -> Finding {
        self.finding("; on nodes that do not advertise it", pods)
    }

    fn finding(&self, end: &str, pods: &[LauncherPod]) -> Finding {
        let Self { resource, class, .. } = self;
        let name = &class.name;
        let held = self.held();
        let supply = match self.count() {
            Ok(count) if count.devices.is_empty() => {
                return Finding::wrong(
                    CHECK,
                    Code::ResourceWithoutDevices,
                    format!(
                        "{resource}: DeviceClass {name} serves it (DRA), and no ResourceSlice offers a device that it \
                         selects{end}"
                    ),
                    format!(
                        "does the DRA driver run on the nodes? kubectl get resourceslices -o yaml shows what it offers, \
                         kubectl get deviceclass {name} -o yaml what is selected"
                    ),
                );
            }
            Ok(count) => count.to_string(),
            Err(why) => format!("an unknown number of devices ({why})"),
        };
        let served = format!("{resource}: {supply} by DeviceClass {name} (DRA)");
        let waiting = waiting(resource, pods);
        let Some((_, reason)) = waiting.first() else {
            return Finding::ok(CHECK, format!("{served}; {held}{end}"));
        };
        let pods: Vec<&str> = waiting.iter().map(|(pod, _)| pod.as_str()).collect();
        Finding::warning(
            CHECK,
            Code::ResourceExhausted,
            format!(
                "{served}; {} for it: {} (the scheduler says: {}); {held}{end}",
                pods_wait(pods.len()),
                some(&pods),
                said(reason)
            ),
            "create more VFs, or stop a virtual machine that holds some; those that seem free are on nodes where the pod \
             cannot run, or are fewer than it needs",
        )
    }

    /// # Errors
    /// Why the devices cannot be counted.
    fn count(&self) -> Result<Count<'_>, String> {
        let Self { dra, class, .. } = self;
        let offer = dra.offer.as_ref().map_err(Failure::sentence)?;
        let devices =
            class.devices(offer).map_err(|problem| format!("DeviceClass {} {problem}", class.name))?;
        let free = dra.claims.as_ref().ok().map(|claims| {
            let held: BTreeSet<&DeviceId> =
                claims.iter().flat_map(|claim| &claim.devices).map(|one| &one.device).collect();
            devices.iter().filter(|device| !device.is_tainted && !held.contains(&device.id)).count()
        });
        let tainted = devices.iter().filter(|device| device.is_tainted).count();
        Ok(Count { devices, free, tainted })
    }

    /// The claims with devices of the class, each with its pods.
    fn held(&self) -> String {
        let Self { dra, class, .. } = self;
        if let Err(failure) = &dra.claims {
            return format!("who holds them is unknown: {}", failure.sentence());
        }
        let holders = dra.seen_claims().filter_map(|claim| {
            let of_class =
                claim.devices.iter().filter(|one| one.class.as_deref() == Some(&class.name)).count();
            let pods = match claim.pods.as_slice() {
                [] => "no pod".to_owned(),
                [pod] => format!("pod {pod}"),
                pods => format!("pods {}", some(pods)),
            };
            (of_class > 0)
                .then(|| format!("{of_class} by claim {}/{} of {pods}", claim.namespace, claim.name))
        });
        let holders: Vec<String> = holders.collect();
        if holders.is_empty() { "no claim holds one".to_owned() } else { format!("held: {}", some(&holders)) }
    }
}

impl std::fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes: BTreeSet<&str> = self.devices.iter().filter_map(|device| device.node.as_deref()).collect();
        write!(f, "{}", self.devices.len())?;
        if !nodes.is_empty() {
            write!(f, " {}", on_nodes(nodes.len()))?;
        }
        if self.tainted > 0 {
            write!(f, ", {} of them tainted", self.tainted)?;
        }
        match self.free {
            Some(free) => write!(f, ", {free} free,"),
            None => Ok(()),
        }
    }
}

/// The pods that request the resource and for which the scheduler finds no devices, each with what it says. It does
/// not name the resource.
fn waiting<'p>(resource: &str, pods: &'p [LauncherPod]) -> Vec<(String, &'p str)> {
    let waits = |pod: &'p LauncherPod| {
        let reason = pod.unschedulable.as_deref().filter(|reason| reason.contains(NO_DEVICES))?;
        let requests = pod.held.keys().any(|held| held.as_str() == resource);
        (pod.is_live() && requests).then(|| (format!("{}/{}", pod.namespace, pod.name), reason))
    };
    pods.iter().filter_map(waits).collect()
}
