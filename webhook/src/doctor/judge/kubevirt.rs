//! Which KubeVirt it is, and who requests VFs there.

use super::{others, ours, seen};
use crate::doctor::facts::{Facts, KubeVirt};
use crate::doctor::{Check, Code, Finding, ObjectRef};

const CHECK: Check = Check::Kubevirt;

/// The gate with which KubeVirt leaves resources to a webhook: off in 1.8, on in 1.9, gone in 1.10 together
/// with KubeVirt's own way.
const GATE: &str = "ExternalNetResourceInjection";

pub(super) fn versions(facts: &Facts) -> Vec<Finding> {
    each(facts, |kubevirt| one(kubevirt, facts))
}

/// Before there is a webhook, that there is none is not wrong.
pub(super) fn before_install(facts: &Facts) -> Vec<Finding> {
    let one = |kubevirt: &KubeVirt| match left_to_us(kubevirt) {
        Err(finding) => *finding,
        Ok((found, _)) => Finding::ok(CHECK, found),
    };
    each(facts, one)
}

fn each(facts: &Facts, one: impl Fn(&KubeVirt) -> Finding) -> Vec<Finding> {
    if let Some(Err(failure)) = &facts.kubevirts
        && failure.is_not_served()
    {
        let remedy = "install KubeVirt; this webhook is for its virtual machines";
        return vec![Finding::wrong(CHECK, Code::KubevirtMissing, "KubeVirt is not installed", remedy)];
    }
    match seen(CHECK, facts.kubevirts.as_ref()) {
        Err(findings) => findings,
        Ok(kubevirts) if kubevirts.is_empty() => {
            let remedy = "create a KubeVirt object, as KubeVirt's installation says";
            vec![Finding::wrong(
                CHECK,
                Code::KubevirtMissing,
                "KubeVirt's operator is installed, but there is no KubeVirt object",
                remedy,
            )]
        }
        Ok(kubevirts) => kubevirts.iter().map(|kubevirt| one(kubevirt).about(object(kubevirt))).collect(),
    }
}

fn object(kubevirt: &KubeVirt) -> ObjectRef {
    ObjectRef::in_namespace("KubeVirt", &kubevirt.namespace, &kubevirt.name)
}

/// What a version means for its VFs, and its number if it leaves them to a webhook.
type Meaning = (String, Option<(u32, u32)>);

fn left_to_us(kubevirt: &KubeVirt) -> Result<Meaning, Box<Finding>> {
    let KubeVirt { namespace, name, version, gates, disabled_gates } = kubevirt;
    let name = format!("{namespace}/{name}");
    let Some(version) = version else {
        let remedy = format!("kubectl describe kubevirt of {name} shows the progress of its installation");
        return Err(Box::new(Finding::unknown(
            CHECK,
            Code::KubevirtVersionUnknown,
            format!("{name}: no version yet"),
            remedy,
        )));
    };
    let Some(minor) = minor(version) else {
        let remedy = "KubeVirt requests VFs itself up to 1.8, and needs the webhook from 1.9 on: find out which version it is";
        return Err(Box::new(Finding::unknown(
            CHECK,
            Code::KubevirtVersionUnknown,
            format!("{name}: version {version:?} is not understood"),
            remedy,
        )));
    };
    let has = |gates: &[String]| gates.iter().any(|gate| gate == GATE);
    let left_to_us = match minor {
        (0, _) | (1, ..=7) => false,
        (1, 8) => has(gates),
        (1, 9) => !has(disabled_gates),
        _ => true,
    };
    if !left_to_us {
        return Ok((format!("{name}: {version} requests VFs itself; the webhook has nothing to add"), None));
    }
    Ok((format!("{name}: {version} leaves VFs to a webhook"), Some(minor)))
}

fn one(kubevirt: &KubeVirt, facts: &Facts) -> Finding {
    let (found, minor) = match left_to_us(kubevirt) {
        Err(finding) => return *finding,
        Ok((found, None)) => return Finding::ok(CHECK, found),
        Ok((found, Some(minor))) => (found, minor),
    };
    if !ours(facts).is_empty() {
        return Finding::ok(CHECK, found);
    }
    if let Some(Err(unseen)) = &facts.entries {
        let remedy = "use a kubeconfig that may list them (examples/doctor.yaml)";
        return Finding::unknown(
            CHECK,
            Code::CannotRead,
            format!("{found}; whether there is one is unknown: {}", unseen.sentence()),
            remedy,
        );
    }
    match others(facts).first() {
        Some(other) => Finding::ok(CHECK, format!("{found}, which is {}", other.configuration)),
        None => Finding::wrong(
            CHECK,
            Code::KubevirtWithoutInjector,
            format!(
                "{found}, and there is none: virtual machines start without their VFs, and without an error"
            ),
            remedy(minor),
        ),
    }
}

/// Instead of a webhook; only where KubeVirt still can do it itself.
fn remedy(minor: (u32, u32)) -> &'static str {
    match minor {
        (1, 8) => {
            "install this webhook, or, for the time being, remove ExternalNetResourceInjection from \
             spec.configuration.developerConfiguration.featureGates of the KubeVirt"
        }
        (1, 9) => {
            "install this webhook, or, for the time being, name ExternalNetResourceInjection in \
             spec.configuration.developerConfiguration.disabledFeatureGates of the KubeVirt"
        }
        _ => "install this webhook: KubeVirt 1.10 and later cannot request VFs itself",
    }
}

/// Major and minor of `v1.9.0-rc.1`.
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
