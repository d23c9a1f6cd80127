//! VMIs and their pods: does each hold what its networks need, and was it attached?

use std::collections::BTreeMap;

use admission::{Network, Options};
use contract::NadName;

use super::holding::{Holding, decision};
use super::wants::{nad_of, needs_device, wants_resource};
use super::wording::{misspelt, no_resource, said};
use super::{attached, seen, stale};
use crate::doctor::facts::{Dra, Facts, LauncherPod, Machine, MachineNetwork, Nads};
use crate::doctor::network_map::{NetworkMap, PodMap, Seen, Subject};
use crate::doctor::{Check, Code, Finding, ObjectRef};

const CHECK: Check = Check::Vmi;

pub(super) fn machines(facts: &Facts, options: &Options) -> Vec<Finding> {
    let Judgement { all, machines, mut findings } = match judge_machines(facts, options) {
        Ok(judgement) => judgement,
        Err(findings) => return findings,
    };
    let (mut looked_at, mut well, mut not_attached_yet) = (0, 0, 0);
    for judged in machines {
        if !judged.machine.has_ended() {
            looked_at += 1;
            if judged.findings.is_empty() {
                well += 1;
                not_attached_yet += usize::from(!judged.attachment_is_known);
            }
        }
        findings.extend(judged.findings);
    }
    findings.splice(0..0, summary(all, looked_at, well, not_attached_yet));
    findings
}

/// All VMIs that need devices, and the findings about each.
pub(crate) struct Judgement<'f> {
    /// How many VMIs there are.
    all: usize,
    pub(crate) machines: Vec<Judged<'f>>,
    /// Findings about none in particular.
    pub(crate) findings: Vec<Finding>,
}

/// A VMI that needs devices, and the findings about it.
pub(crate) struct Judged<'f> {
    pub(crate) machine: &'f Machine,
    pub(crate) pods: Vec<PodMap>,
    pub(crate) findings: Vec<Finding>,
    /// Whether Multus has said of a pod what it attached.
    attachment_is_known: bool,
}

/// Judges each VMI that needs devices.
///
/// # Errors
/// If something that this depends on could not be seen, the findings that say so.
pub(crate) fn judge_machines<'f>(facts: &'f Facts, options: &Options) -> Result<Judgement<'f>, Vec<Finding>> {
    // That KubeVirt is missing is said where KubeVirt is looked at.
    if let Some(Err(failure)) = &facts.machines
        && failure.is_not_served()
    {
        return Err(Vec::new());
    }
    let machines = seen(CHECK, facts.machines.as_ref())?;
    let pods = seen(CHECK, facts.pods.as_ref())?;
    let nads = seen(CHECK, facts.networks.as_ref())?;
    let mut by_machine: BTreeMap<&str, Vec<&LauncherPod>> = BTreeMap::new();
    for pod in pods {
        by_machine.entry(&pod.created_by).or_default().push(pod);
    }
    let mut judgement = Judgement { all: machines.len(), machines: Vec::new(), findings: Vec::new() };
    if let Some(Err(unseen)) = &facts.nodes {
        let remedy = "without them it is unknown whether a node was restarted under its virtual machines; examples/doctor.yaml \
                      has the permissions";
        judgement.findings.push(Finding::unknown(CHECK, Code::CannotRead, unseen.sentence(), remedy));
    }
    for machine in machines {
        let pods = by_machine.get(machine.uid.as_str()).map(Vec::as_slice).unwrap_or_default();
        let networks = match &machine.networks {
            Ok(networks) => networks,
            Err(problem) => {
                judgement.findings.push(
                    Finding::unknown(
                        CHECK,
                        Code::VmiUnreadable,
                        format!("{}: its networks cannot be read: {problem}", machine.full_name()),
                        "correct the VMI",
                    )
                    .about(object(machine)),
                );
                continue;
            }
        };
        let networks: Vec<&MachineNetwork> =
            networks.iter().filter(|network| needs_device(machine, network, nads, options)).collect();
        if networks.is_empty() {
            continue;
        }
        let mut judged =
            Judged { machine, pods: Vec::new(), findings: Vec::new(), attachment_is_known: false };
        if machine.has_ended() {
            judged.findings.extend(pods.iter().filter_map(|pod| stale::refused(machine, pod)));
            if judged.findings.is_empty() {
                continue;
            }
        } else {
            let one = One { machine, networks: &networks, pods, facts, nads, options };
            (judged.findings, judged.pods) = one.judge();
            judged.attachment_is_known = pods.iter().any(|pod| attached::is_known(pod));
        }
        let about = |finding: Finding| finding.about(object(machine));
        judged.findings = judged.findings.into_iter().map(about).collect();
        judgement.machines.push(judged);
    }
    Ok(judgement)
}

fn object(machine: &Machine) -> ObjectRef {
    ObjectRef::in_namespace("VirtualMachineInstance", &machine.namespace, &machine.name)
}

/// What is well, and only that.
fn summary(all: usize, looked_at: usize, well: usize, not_attached_yet: usize) -> Option<Finding> {
    let number = |number: usize| if number == 1 { "1 VMI".to_owned() } else { format!("{number} VMIs") };
    let found = match (all, looked_at, well) {
        (0, ..) => "there are no VMIs".to_owned(),
        (all, 0, _) => format!("{} with no network that needs a device", number(all)),
        (_, _, 0) => return None,
        (_, looked_at, well) => {
            let attached = match not_attached_yet {
                0 => String::new(),
                more => format!("; of {more} Multus has not yet said what it attached"),
            };
            format!("{well} of {} with networks that need devices hold them{attached}", number(looked_at))
        }
    };
    Some(Finding::ok(CHECK, found))
}

/// A VMI, and all that is known of it.
struct One<'f> {
    machine: &'f Machine,
    /// Those that need a device.
    networks: &'f [&'f MachineNetwork],
    pods: &'f [&'f LauncherPod],
    facts: &'f Facts,
    nads: &'f Nads,
    options: &'f Options,
}

impl One<'_> {
    /// The findings, and the map of each live pod; one without a pod as long as there is none.
    fn judge(&self) -> (Vec<Finding>, Vec<PodMap>) {
        let Self { machine, pods, .. } = self;
        let mut findings = self.without_resource();
        let mut maps = Vec::new();
        let live: Vec<&LauncherPod> = pods.iter().copied().filter(|pod| pod.is_live()).collect();
        if live.is_empty() {
            findings.extend(self.no_pod());
            maps.push(PodMap { pod: None, node: None, networks: self.maps(None, &[]) });
        }
        for pod in &live {
            let (found, networks) = self.pod(pod);
            findings.extend(found);
            maps.push(PodMap { pod: Some(pod.name.clone()), node: pod.node.clone(), networks });
        }
        if let Some(reason) = machine.not_synchronized() {
            let found = format!("{}: KubeVirt says: {}", machine.full_name(), said(reason));
            let remedy = "docs/troubleshooting.md has the sentences of KubeVirt and libvirt, and what to do";
            findings.push(if machine.status.is_running() {
                Finding::warning(CHECK, Code::VmiNotSynchronized, found, remedy)
            } else {
                Finding::wrong(CHECK, Code::VmiNotSynchronized, found, remedy)
            });
        }
        (findings, maps)
    }

    /// The path of each device.
    fn maps(&self, pod: Option<&LauncherPod>, holdings: &[Holding<'_>]) -> Vec<NetworkMap> {
        let seen = pod.map(|pod| Seen::of(pod, self.dra()));
        let nads: Vec<Option<NadName>> =
            self.networks.iter().map(|network| nad_of(self.machine, network, self.options)).collect();
        let held: Vec<(String, u64, u64)> =
            holdings.iter().map(|one| (one.resource.clone(), one.needed, one.held)).collect();
        let one = |(index, (network, name)): (usize, (&&MachineNetwork, &Option<NadName>))| {
            let same = |other: &&Option<NadName>| *other == name;
            let subject = Subject {
                machine: self.machine,
                network,
                nad: name.as_ref().map(|name| (name, self.nads.0.get(name))),
                place: (nads.iter().take(index).filter(same).count(), nads.iter().filter(same).count()),
                held: &held,
            };
            NetworkMap::of(subject, seen.as_ref())
        };
        self.networks.iter().zip(&nads).enumerate().map(one).collect()
    }

    /// Interfaces that are VFs, of NADs that name no resource.
    fn without_resource(&self) -> Vec<Finding> {
        let one = |network: &&MachineNetwork| {
            let name = nad_of(self.machine, network, self.options).filter(|_| wants_resource(network))?;
            let nad =
                self.nads.0.get(&name).filter(|nad| nad.names_no_resource() && !self.is_ignored(&name))?;
            Some(Finding::wrong(
                CHECK,
                Code::NadWithoutResource,
                format!(
                    "{}: interface {} is sriov, but NAD {name} names no resource{}",
                    self.machine.full_name(),
                    network.name,
                    misspelt(&name, nad)
                ),
                no_resource(&name),
            ))
        };
        self.networks.iter().filter_map(one).collect()
    }

    /// Whether an annotation of the pod, or of the VMI, says that the webhook leaves the network alone.
    fn is_ignored(&self, nad: &NadName) -> bool {
        let live = self.pods.iter().filter(|pod| pod.is_live());
        live.filter_map(|pod| decision(pod, self.nads, self.options).ok())
            .any(|decision| decision.attachments.iter().any(|one| one.is_ignored() && one.nad == *nad))
    }

    fn no_pod(&self) -> Vec<Finding> {
        let Machine { namespace, name, .. } = self.machine;
        let refused: Vec<Finding> =
            self.pods.iter().filter_map(|pod| stale::refused(self.machine, pod)).collect();
        if !refused.is_empty() {
            return refused;
        }
        let of_multus = self.networks.iter().filter(|network| network.multus.is_some());
        let gone = of_multus.filter_map(|network| {
            let nad = nad_of(self.machine, network, self.options);
            match nad.as_ref().map(|nad| self.nads.0.get(nad).map(|nad| &nad.network)) {
                None => Some(format!("network {} names no NAD", network.name)),
                Some(None) => Some(format!("NAD {} does not exist", nad?)),
                Some(Some(Network::Invalid(error))) => Some(format!("NAD {}: {error}", nad?)),
                Some(Some(Network::Valid(_))) => None,
            }
        });
        let why: Vec<String> = gone.collect();
        let remedy = format!(
            "kubectl --namespace {namespace} describe vmi {name} says why; a denial by the webhook is quoted there"
        );
        vec![if why.is_empty() {
            Finding::warning(CHECK, Code::VmiWithoutPod, format!("{namespace}/{name}: has no pod"), remedy)
        } else {
            Finding::wrong(
                CHECK,
                Code::VmiWithoutPod,
                format!("{namespace}/{name}: has no pod: {}", why.join("; ")),
                remedy,
            )
        }]
    }

    fn pod(&self, pod: &LauncherPod) -> (Vec<Finding>, Vec<NetworkMap>) {
        let Self { machine, nads, options, .. } = self;
        let place = format!("{}: pod {}", machine.full_name(), pod.name);
        let restart = restart(machine);
        let decision = match decision(pod, *nads, options) {
            Ok(decision) => decision,
            Err(denial) => {
                let finding = Finding::wrong(
                    CHECK,
                    Code::PodUnreadable,
                    format!("{place}: {}", denial.message),
                    restart,
                );
                return (vec![finding], self.maps(Some(pod), &[]));
            }
        };
        let mut findings = Vec::new();
        let holdings = Holding::all(&decision);
        let maps = self.maps(Some(pod), &holdings);
        let lacking: Vec<String> =
            holdings.iter().filter(|one| !one.is_misplaced()).filter_map(Holding::lack).collect();
        if !lacking.is_empty() {
            findings.push(Finding::wrong(
                CHECK,
                Code::DeviceMissing,
                format!("{place} {}", lacking.join(", ")),
                &restart,
            ));
        }
        for lack in holdings.iter().filter(|one| one.is_misplaced()).filter_map(Holding::lack) {
            let remedy = "the virtual machine runs in compute and can only use what that holds: request the resource \
                          there (the injector of the other container must not take it), and restart the virtual machine";
            findings.push(Finding::wrong(CHECK, Code::DeviceElsewhere, format!("{place}: {lack}"), remedy));
        }
        if let Some(denial) = decision.verdict.denial()
            && findings.is_empty()
        {
            let finding = Finding::wrong(
                CHECK,
                Code::PodDenied,
                format!("{place} would be denied today: {}", denial.message),
                "correct what the message says; the running virtual machine is not affected until it is restarted",
            );
            return (vec![finding], maps);
        }
        findings.extend(pod.unschedulable.as_ref().map(|reason| {
            Finding::warning(
                CHECK, Code::PodUnschedulable,
                format!("{place} has no node: {}", said(reason)),
                "if a resource is insufficient, or claims cannot be allocated, all VFs are in use: create more, or stop another \
                 virtual machine",
            )
        }));
        findings.extend(decision.verdict.warnings.iter().map(|warning| {
            Finding::warning(
                CHECK,
                Code::PodWarning,
                format!("{place}: {warning}"),
                "the webhook admits it; do what the message says",
            )
        }));
        findings.extend(self.claims(pod, &place));
        findings.extend(self.not_selected(&decision, &place));
        findings.extend(attached::findings(machine, self.networks, pod, &decision));
        findings.extend(stale::findings(machine, pod, self.facts));
        findings.extend(disagreements(self.networks, &maps, &place, &restart));
        (findings, maps)
    }

    fn dra(&self) -> Option<&Dra> {
        self.facts.dra.as_ref()?.as_ref().ok()
    }

    /// Networks whose device is claimed: each has one device of its request, once the pod has a node.
    fn claims(&self, pod: &LauncherPod, place: &str) -> Vec<Finding> {
        let claimed = self.networks.iter().filter_map(|network| Some((network, network.claim.as_ref()?)));
        let mut claimed = claimed.filter(|_| pod.node.is_some()).peekable();
        let failure = match &self.facts.dra {
            None => return Vec::new(),
            Some(Err(failure)) => Some(failure),
            Some(Ok(dra)) => dra.claims.as_ref().err(),
        };
        if let Some(failure) = failure.filter(|_| claimed.peek().is_some()) {
            let remedy = "use a kubeconfig that may list deviceclasses, resourceslices and resourceclaims \
                          (examples/doctor.yaml)";
            let found = format!("{place}: the devices of its claims cannot be seen: {}", failure.sentence());
            return vec![Finding::unknown(CHECK, Code::CannotRead, found, remedy)];
        }
        let wrong = claimed.filter_map(|(network, request)| {
            let devices = self.dra().map(|dra| dra.of_request(pod, request)).unwrap_or_default();
            let has = match devices.as_slice() {
                [_] => return None,
                [] => "no device".to_owned(),
                several => format!("{} devices ({})", several.len(), several.join(", ")),
            };
            Some(Finding::wrong(
                CHECK,
                Code::ClaimDeviceCount,
                format!("{place}: {request} has {has}, and network {} needs one", network.name),
                format!(
                    "kubectl --namespace {} describe resourceclaims shows what was allocated; let the request have count: 1, \
                     and restart the virtual machine",
                    self.machine.namespace
                ),
            ))
        });
        wrong.collect()
    }

    /// Networks of the VMI that the pod does not select.
    fn not_selected(&self, decision: &admission::Decision, place: &str) -> Vec<Finding> {
        let mut selected: Vec<&NadName> =
            decision.attachments.iter().map(|attachment| &attachment.nad).collect();
        let mut findings = Vec::new();
        for network in self.networks {
            let Some(nad) = nad_of(self.machine, network, self.options) else { continue };
            if let Some(index) = selected.iter().position(|selected| **selected == nad) {
                selected.swap_remove(index);
                continue;
            }
            let Machine { namespace, name, .. } = self.machine;
            findings.push(Finding::warning(
                CHECK, Code::NetworkNotSelected,
                format!("{place} does not select NAD {nad} of network {}: it was added after the pod was made", network.name),
                format!("migrate the virtual machine: virtctl --namespace {namespace} migrate {name}; or restart it"),
            ));
        }
        findings
    }
}

/// Columns of the map that do not agree.
fn disagreements(
    networks: &[&MachineNetwork],
    maps: &[NetworkMap],
    place: &str,
    restart: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (network, map) in networks.iter().zip(maps) {
        for sentence in &map.disagreements {
            let found = format!("{place}: {sentence}");
            let remedy = format!("sriov-webhook doctor --map shows all sides; if it stays so, {restart}");
            // Where KubeVirt makes an interface of its own, the pod's may have another address.
            let finding = if network.sriov { Finding::wrong } else { Finding::warning };
            findings.push(finding(CHECK, Code::DeviceMismatch, found, remedy));
        }
    }
    findings
}

fn restart(machine: &Machine) -> String {
    format!(
        "restart the virtual machine: virtctl --namespace {} restart {}; what a pod holds is fixed when it is created",
        machine.namespace, machine.name
    )
}
