//! The Deployment, its replicas, its flags, its certificate: does what is registered run, and as this program knows it?

mod certificate;
mod counted;

use apiserver::Failure;

use super::wording::one_line;
use crate::doctor::facts::{Counters, Decisions, Deployment, Facts, Release, Replica, Source};
use crate::doctor::{Check, Code, Finding, ObjectRef};

use certificate::certificate;
use counted::counted;

const CHECK: Check = Check::Release;

/// This program's version, which is that of the chart and of the replicas.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Sentences of others are cut to this length.
const LONGEST: usize = 200;

pub(super) fn release(facts: &Facts, decisions: &Decisions) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(release) = &facts.release else {
        const REMEDY: &str = "doctor looks at the Deployment behind the Service of the registration";
        findings.extend(facts.entries.as_ref().map(|entries| match entries {
            Err(unseen) => unreadable(unseen),
            Ok(_) if super::ours(facts).is_empty() => Finding::unknown(
                CHECK,
                Code::ReleaseDeploymentUnknown,
                "no release is registered, so none was looked at",
                REMEDY,
            ),
            Ok(_) => Finding::note(
                CHECK,
                Code::NotLookedAt,
                "the registration names a URL and no Service, so its release was not looked at",
                REMEDY,
            ),
        }));
        return findings;
    };
    match deployment(release) {
        Ok(deployment) => {
            findings.extend(replicas(release, deployment));
            findings.extend(version(release, deployment));
        }
        Err(finding) => findings.push(*finding),
    }
    findings.push(flags(decisions));
    findings.extend(certificate(release, facts));
    findings.extend(counted(release));
    findings
}

/// The Deployment, or why there is none to look at.
fn deployment(release: &Release) -> Result<&Deployment, Box<Finding>> {
    let Release { namespace, service, deployments, .. } = release;
    let about = ObjectRef::in_namespace("Service", namespace, service);
    let finding = match deployments.as_ref().map(Option::as_deref) {
        Ok(Some([deployment])) => return Ok(deployment),
        Err(unseen) => return Err(Box::new(unreadable(unseen))),
        Ok(None) => Finding::wrong(
            CHECK,
            Code::ReleaseServiceMissing,
            format!("Service {namespace}/{service}, to which the registration sends pods, does not exist"),
            "helm upgrade --reuse-values brings it back; helm uninstall removes a registration that was left behind",
        ),
        Ok(Some([])) => Finding::unknown(
            CHECK,
            Code::ReleaseDeploymentUnknown,
            format!(
                "no Deployment in namespace {namespace} has the labels that Service {service} selects and serves"
            ),
            "compare the Service's selector with the labels of the Deployment; without one, nothing is known of the \
             replicas and their flags",
        ),
        Ok(Some(several)) => {
            let names: Vec<&str> = several.iter().map(|deployment| deployment.name.as_str()).collect();
            Finding::unknown(
                CHECK,
                Code::ReleaseDeploymentUnknown,
                format!("Service {namespace}/{service} selects the pods of {}", names.join(", ")),
                "one Service for one release: give each release its own labels",
            )
        }
    };
    Err(Box::new(finding.about(about)))
}

fn unreadable(unseen: &Failure) -> Finding {
    let remedy = format!("{}, or leave this out with --only", super::remedy(unseen));
    Finding::unknown(CHECK, Code::CannotRead, unseen.sentence(), remedy)
}

fn replicas(release: &Release, deployment: &Deployment) -> Vec<Finding> {
    let Deployment { name, desired, ready, updated, is_unobserved, .. } = deployment;
    let namespace = &release.namespace;
    let about = |finding: Finding| finding.about(ObjectRef::in_namespace("Deployment", namespace, name));
    let found = format!("Deployment {namespace}/{name}: {ready} of {desired} replicas are ready");
    let troubles = match &release.replicas {
        Ok(replicas) => replicas.iter().filter_map(troubled).collect::<Vec<_>>().join("; "),
        Err(unseen) => unseen.sentence(),
    };
    let why = if troubles.is_empty() { found.clone() } else { format!("{found}; {troubles}") };
    let remedy = format!(
        "kubectl --namespace {namespace} describe deployment {name}, and the events and logs of its pods, say why"
    );
    let mut findings = Vec::new();
    if *desired == 0 || *ready == 0 {
        let remedy = if *desired == 0 {
            format!("kubectl --namespace {namespace} scale deployment {name} --replicas 2")
        } else {
            remedy
        };
        findings.push(about(Finding::wrong(CHECK, Code::ReleaseNotReady, why, remedy)));
    } else if ready < desired {
        findings.push(about(Finding::warning(CHECK, Code::ReleaseReplicasMissing, why, remedy)));
    } else if *is_unobserved || updated < desired {
        findings.push(about(Finding::warning(
            CHECK,
            Code::ReleaseRolloutUnfinished,
            format!("{found}, and {updated} of them have the present template"),
            format!("kubectl --namespace {namespace} rollout status deployment {name} waits for the others"),
        )));
    } else {
        findings.push(about(Finding::ok(CHECK, found)));
    }
    if let Err(unseen) = &release.replicas {
        findings.push(unreadable(unseen));
    }
    findings
}

/// A replica that is not ready, and why.
fn troubled(replica: &Replica) -> Option<String> {
    let Replica { name, is_ready, trouble, restarts, .. } = replica;
    if *is_ready {
        return None;
    }
    let trouble = trouble.as_deref().unwrap_or("not ready");
    let trouble = one_line(trouble, LONGEST);
    let restarts = if *restarts > 0 { format!(", restarted {restarts} times") } else { String::new() };
    Some(format!("{name}: {trouble}{restarts}"))
}

/// The version that an image's tag or the labels of its pods name.
fn version_of(deployment: &Deployment) -> Option<&str> {
    // A digest behind an @ is not a tag, and neither is the port of a registry.
    let image = deployment.image.split('@').next().unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let is_version =
        |tag: &&str| tag.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit());
    tag.filter(is_version).or(deployment.version.as_deref()).map(|version| version.trim_start_matches('v'))
}

fn version(release: &Release, deployment: &Deployment) -> Vec<Finding> {
    let namespace = &release.namespace;
    let about =
        |finding: Finding| finding.about(ObjectRef::in_namespace("Deployment", namespace, &deployment.name));
    let named = version_of(deployment);
    // What a replica says of itself counts for more than the name of an image.
    let running: Vec<(&str, &str)> =
        replica_counters(release).filter_map(|(name, counters)| Some((name, counters.version()?))).collect();
    let other = running.iter().find(|(_, version)| *version != VERSION);
    let found = match (other, named) {
        (Some((name, version)), _) => {
            format!("replica {name} is version {version}, and this program is {VERSION}")
        }
        (None, Some(named)) if running.is_empty() && named != VERSION => format!(
            "image {} of Deployment {namespace}/{} is version {named}, and this program is {VERSION}",
            deployment.image, deployment.name
        ),
        (None, None) if running.is_empty() => {
            return vec![about(Finding::unknown(
                CHECK,
                Code::ReleaseVersionUnknown,
                format!(
                    "image {} of Deployment {namespace}/{} names no version",
                    deployment.image, deployment.name
                ),
                "the replicas say it in their log and at /version; this program judges by its own",
            ))];
        }
        _ => {
            return vec![about(Finding::ok(CHECK, "the replicas are of this program's version"))];
        }
    };
    vec![about(Finding::warning(
        CHECK,
        Code::ReleaseVersionDiffers,
        found,
        "what this program says of pods may not be what the replicas decide: use the program of their version, or finish \
         the upgrade",
    ))]
}

fn flags(decisions: &Decisions) -> Finding {
    match &decisions.source {
        Source::CommandLine => Finding::note(
            CHECK,
            Code::NotLookedAt,
            "pods are decided by the flags of this command line",
            "without --no-release-flags they are decided by those of the release, if its Deployment can be read",
        ),
        Source::Release { deployment, flags } if flags.is_empty() => Finding::ok(
            CHECK,
            format!("pods are decided by the flags of Deployment {deployment}: all have their defaults"),
        ),
        Source::Release { deployment, flags } => Finding::ok(
            CHECK,
            format!("pods are decided by the flags of Deployment {deployment}: {}", flags.join(" ")),
        ),
        Source::Unread { reason } => unread_flags(reason),
    }
}

/// What is said wherever pods are decided by flags that may not be the release's.
pub(in crate::doctor) fn unread_flags(reason: &str) -> Finding {
    Finding::unknown(
        CHECK,
        Code::ReleaseFlagsUnknown,
        format!(
            "the flags of the release are not known, and pods are decided by those of this command line: {reason}"
        ),
        "repeat the flags of the Deployment here and add --no-release-flags, or use a kubeconfig with the permissions of \
         examples/doctor.yaml",
    )
}

/// The counters of each replica that were read.
fn replica_counters(release: &Release) -> impl Iterator<Item = (&str, &Counters)> {
    let replicas = release.replicas.as_deref().unwrap_or_default();
    replicas
        .iter()
        .filter_map(|replica| Some((replica.name.as_str(), replica.counters.as_ref()?.as_ref().ok()?)))
}
