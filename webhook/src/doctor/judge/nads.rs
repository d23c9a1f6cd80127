//! NADs: are their annotations in order, and do they name what a virtual machine needs?

use std::collections::BTreeSet;

use admission::{Network, NetworkError, Options};
use contract::cni::Cni;
use contract::{NadName, annotation};

use super::resources::resources_of;
use super::seen;
use super::wants::{claimed, without_resource};
use super::wording::{misspelt, no_resource};
use crate::doctor::facts::{Facts, Misspelt, Nad};
use crate::doctor::{Check, Code, Finding, ObjectRef};

const CHECK: Check = Check::Nad;

pub(super) fn networks(facts: &Facts, checks: &[Check], options: &Options) -> Vec<Finding> {
    if let Some(Err(unseen)) = &facts.networks
        && unseen.is_not_served()
    {
        return vec![Finding::wrong(
            CHECK,
            Code::MultusMissing,
            unseen.sentence(),
            "install Multus, which brings them",
        )];
    }
    let nads = match seen(CHECK, facts.networks.as_ref()) {
        Ok(nads) => nads,
        Err(findings) => return findings,
    };
    if nads.0.is_empty() {
        let remedy = "create one for each network; examples/nads.yaml shows three";
        return vec![Finding::warning(CHECK, Code::NadNone, "there are none", remedy)];
    }
    // What a virtual machine lacks is said once, there.
    let said = if checks.contains(&Check::Vmi) { without_resource(facts, options) } else { BTreeSet::new() };
    let mut findings: Vec<Finding> = Vec::new();
    let mut valid = nads.0.len();
    let claimed = claimed(facts, options);
    for (name, nad) in &nads.0 {
        if claimed.contains(name)
            && let Network::Invalid(error @ NetworkError::Resource { .. }) = &nad.network
        {
            valid -= 1;
            findings.push(name_for_multus(name, error).about(ObjectRef::nad(name)));
            continue;
        }
        let wrong = wrong(name, nad);
        valid -= usize::from(!wrong.is_empty());
        let odd = if said.contains(name) { None } else { odd(name, nad) };
        findings.extend(wrong.into_iter().chain(odd).map(|finding| finding.about(ObjectRef::nad(name))));
    }
    if valid > 0 {
        let named = resources_of(nads).values().flatten().collect::<BTreeSet<_>>().len();
        findings.insert(0, Finding::ok(CHECK, format!("{valid} valid, {named} of them name a resource")));
    }
    findings
}

/// A resource name that is not valid, of a NAD whose device a VMI claims: there it is only a key.
fn name_for_multus(name: &NadName, error: &NetworkError) -> Finding {
    Finding::warning(
        CHECK,
        Code::NadNameForClaim,
        format!(
            "{name}: {error}; a VMI claims its device, for which it is only the name under which Multus finds the device"
        ),
        format!(
            "if all claim it, kubectl --namespace {} annotate net-attach-def {} {}=resource-claim; until then other pods \
             that name it are denied",
            name.namespace(),
            name.name(),
            annotation::DEVICE_SOURCE
        ),
    )
}

fn wrong(name: &NadName, nad: &Nad) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Network::Invalid(error) = &nad.network {
        findings.push(Finding::wrong(
            CHECK,
            Code::NadAnnotationInvalid,
            format!("{name}: {error}"),
            "correct the annotation; until then pods that name it are denied",
        ));
    }
    if let Cni::Unreadable(problem) = &nad.cni {
        findings.push(Finding::wrong(
            CHECK,
            Code::NadConfigInvalid,
            format!("{name}: its spec.config {problem}"),
            "correct it: Multus cannot attach it, and pods that name it do not start",
        ));
    }
    findings
}

/// What a NAD seems to lack.
fn odd(name: &NadName, nad: &Nad) -> Option<Finding> {
    let misspelt = misspelt(name, nad);
    if nad.names_no_resource() && nad.cni.wants_vf() {
        return Some(Finding::warning(
            CHECK,
            Code::NadWithoutResource,
            format!("{name}: its CNI plugin configures a VF, but it names no resource with VFs{misspelt}"),
            no_resource(name),
        ));
    }
    let Misspelt { key, meant } = nad.misspelt.first()?;
    Some(Finding::warning(
        CHECK,
        Code::NadAnnotationMisspelt,
        format!("{name}: annotation {key} is ignored: did you mean {meant}?"),
        format!(
            "rename it, if so: kubectl --namespace {} edit net-attach-def {}; or give --resource-annotation, as to serve",
            name.namespace(),
            name.name()
        ),
    ))
}
