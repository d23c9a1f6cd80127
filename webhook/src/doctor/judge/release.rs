//! The Deployment, its replicas, its flags, its certificate: does what is registered run, and as this program knows it?

use std::time::{Duration, SystemTime};

use apiserver::Failure;
use certs::inspect::{Details, written};
use certs::{pair, rotation};
use contract::cut;

use crate::doctor::facts::{Counters, Decisions, Deployment, Entry, Facts, Release, Replica, Served, Source};
use crate::doctor::{Check, Code, Finding, ObjectRef};

const CHECK: Check = Check::Release;

/// This program's version, which is that of the chart and of the replicas.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Without news of NADs for so long, something is wrong with the watch, as the chart's alert has it.
const SILENCE: f64 = 600.0;

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
    let trouble = cut(trouble, LONGEST).replace(char::is_control, " ");
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

fn certificate(release: &Release, facts: &Facts) -> Vec<Finding> {
    let namespace = &release.namespace;
    match &release.served {
        None => Vec::new(),
        Some(Err(unseen)) => unseen_certificate(unseen, release),
        Some(Ok(Served { secret, chain, leaf })) => {
            let about =
                |finding: Finding| finding.about(ObjectRef::in_namespace("Secret", namespace, secret));
            let (chain, leaf) = match (chain, leaf) {
                (Ok(chain), Some(leaf)) => (chain, leaf),
                (chain, _) => {
                    let problem = chain.as_ref().err().map_or("tls.crt is not a certificate", String::as_str);
                    return vec![about(Finding::wrong(
                        CHECK,
                        Code::ReleaseCertificateMissing,
                        format!("Secret {namespace}/{secret}: {problem}"),
                        "the replicas cannot serve it: see their log, or cert-manager's Certificate",
                    ))];
                }
            };
            let place = format!("the serving certificate in Secret {namespace}/{secret}");
            let mut findings = vec![about(dates(&place, leaf, release.now))];
            findings.extend(name(&place, leaf, release).map(about));
            let entries = super::ours(facts).into_iter().chain(super::ours_of_vmis(facts));
            let untrusted: Vec<&Entry> = entries
                .filter(|entry| entry.has_bundle() && !is_trusted(chain, entry, release.now))
                .collect();
            findings.extend(untrusted.into_iter().map(|entry| untrusting(entry, leaf)));
            findings
        }
    }
}

/// Whether an API server with the entry's bundle trusts the chain.
fn is_trusted(chain: &[rustls_pki_types::CertificateDer<'static>], entry: &Entry, now: SystemTime) -> bool {
    let authorities = rotation::certificates(&entry.bundle);
    // Whether it has expired is said of the certificate, and not once more of its CA.
    let leaf = chain.first().and_then(|leaf| Details::of(leaf).ok());
    let at = leaf.map_or(now, |leaf| if leaf.is_valid_at(now) { now } else { leaf.not_before });
    // API servers also take a certificate that is in the bundle itself.
    chain.first().is_some_and(|leaf| authorities.contains(leaf))
        || pair::is_signed_by(chain, &authorities, at)
}

fn untrusting(entry: &Entry, leaf: &Details) -> Finding {
    let Entry { configuration, name, about_vmis, .. } = entry;
    let found = format!(
        "{configuration}: no CA of the caBundle of {name} has signed the serving certificate (its issuer is {})",
        cut(&leaf.issuer, LONGEST)
    );
    let remedy = "the replicas (certificates.mode=managed) or cert-manager's CA injector repair it within a minute: see \
                  their log; with certificates.mode=secret set certificates.secret.caBundle";
    let finding = if *about_vmis { Finding::warning } else { Finding::wrong };
    finding(CHECK, Code::ReleaseCaMismatch, found, remedy)
        .about(ObjectRef::of_cluster("MutatingWebhookConfiguration", configuration))
}

fn dates(place: &str, leaf: &Details, now: SystemTime) -> Finding {
    let (begin, end) = (written(leaf.not_before), written(leaf.not_after));
    let remedy = "see the log of the replicas, or cert-manager's Certificate, for why it was not renewed";
    if now > leaf.not_after {
        return Finding::wrong(
            CHECK,
            Code::ReleaseCertificateExpired,
            format!("{place} expired at {end}: API servers do not trust it"),
            remedy,
        );
    }
    if now < leaf.not_before {
        return Finding::wrong(
            CHECK,
            Code::ReleaseCertificateExpired,
            format!("{place} is valid from {begin} on only"),
            "compare the clocks of this machine, the API servers and the nodes",
        );
    }
    // As the log of the replicas has it; and a week before in any case, as the alert has it.
    let remaining = leaf.remaining(now);
    if remaining < leaf.lifetime() / 4 {
        let found = format!("{place} expires at {end}, and should have been renewed");
        return Finding::warning(CHECK, Code::ReleaseCertificateEnding, found, remedy);
    }
    Finding::ok(CHECK, format!("{place} is valid until {end}"))
}

/// API servers look for the Service's name in it.
fn name(place: &str, leaf: &Details, release: &Release) -> Option<Finding> {
    let Release { namespace, service, .. } = release;
    let wanted = format!("{service}.{namespace}.svc");
    let any = format!("*.{namespace}.svc");
    if leaf.names.iter().any(|name| name.eq_ignore_ascii_case(&wanted) || name.eq_ignore_ascii_case(&any)) {
        return None;
    }
    Some(Finding::wrong(
        CHECK,
        Code::ReleaseCertificateName,
        format!("{place} is for {}, and API servers expect {wanted}", cut(&leaf.names.join(", "), LONGEST)),
        "issue it for that name (dnsNames of the Certificate); managed certificates have it",
    ))
}

/// Without the Secret, the replicas may still say when their certificate expires.
fn unseen_certificate(unseen: &Failure, release: &Release) -> Vec<Finding> {
    let mut findings: Vec<Finding> = replica_counters(release)
        .filter_map(|(replica, counters)| {
            let end = counters.sum("sriov_webhook_certificate_not_after_timestamp_seconds", None)?;
            let left = end - seconds(release.now);
            let end = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(end).ok()?)?;
            (left <= 0.0).then(|| {
                Finding::wrong(
                    CHECK,
                    Code::ReleaseCertificateExpired,
                    format!("replica {replica} serves a certificate that expired at {}", written(end)),
                    "see its log for why it was not renewed",
                )
                .about(ObjectRef::in_namespace("Pod", &release.namespace, replica))
            })
        })
        .collect();
    findings.push(Finding::note(
        CHECK,
        Code::NotLookedAt,
        format!("the serving certificate was not compared with the registration: {}", unseen.sentence()),
        "the Secret holds private keys, so few may read it; the webhook check shows whether an API server trusts what is served",
    ));
    findings
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// What the replicas have counted since they started.
fn counted(release: &Release) -> Vec<Finding> {
    let mut findings = Vec::new();
    for replica in release.replicas.as_deref().unwrap_or_default() {
        let about = |finding: Finding| {
            finding.about(ObjectRef::in_namespace("Pod", &release.namespace, &replica.name))
        };
        match &replica.counters {
            // One that does not run is among those that are not ready.
            None => {}
            Some(Err(unseen)) => findings.push(about(Finding::note(
                CHECK,
                Code::NotLookedAt,
                format!("the errors that the replicas counted were not looked at: {}", unseen.sentence()),
                "they are read from /metrics through the API server, which needs the permission to get pods/proxy",
            ))),
            Some(Ok(counters)) => findings.extend(of_replica(&replica.name, counters).into_iter().map(about)),
        }
    }
    findings
}

fn of_replica(name: &str, counters: &Counters) -> Vec<Finding> {
    let count = |metric: &str, label| counters.sum(metric, label).unwrap_or_default();
    let mut findings = Vec::new();
    let internal = count("sriov_webhook_reviews_total", Some(("reason", "internal")))
        + count("sriov_webhook_requests_refused_total", Some(("reason", "internal")));
    if internal > 0.0 {
        findings.push(Finding::warning(
            CHECK,
            Code::ReleaseInternalErrors,
            format!("replica {name}: {internal} internal errors since its start"),
            "its log has each; please report them",
        ));
    }
    let silence = count("sriov_webhook_networks_silence_seconds", None);
    if counters.sum("sriov_webhook_networks_listed", None) == Some(0.0) {
        findings.push(Finding::warning(
            CHECK,
            Code::ReleaseNetworksStale,
            format!("replica {name} has not listed the NADs yet, and answers no review"),
            "its log and /readyz?verbose say why",
        ));
    } else if silence > SILENCE {
        findings.push(Finding::warning(
            CHECK,
            Code::ReleaseNetworksStale,
            format!("replica {name} has had no news of NADs for {silence:.0} s"),
            "it keeps using what it knows; its log says why its watch fails",
        ));
    }
    // These may be long past, so they are said and not judged.
    let errors = [
        (
            "requests turned away by overload",
            count("sriov_webhook_requests_refused_total", Some(("reason", "overload"))),
        ),
        (
            "failed TLS handshakes",
            count("sriov_webhook_tls_handshake_failures_total", Some(("reason", "error"))),
        ),
        ("failures of the watch of NADs", count("sriov_webhook_networks_source_failures_total", None)),
        ("certificates that cannot be used", count("sriov_webhook_certificate_failures_total", None)),
        ("failed look-ups of NADs", count("sriov_webhook_live_look_ups_total", Some(("result", "failed")))),
        (
            "events that could not be written",
            count("sriov_webhook_vmi_events_total", Some(("result", "failed"))),
        ),
    ];
    let errors: Vec<String> = errors
        .iter()
        .filter(|(_, count)| *count > 0.0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    let errors = if errors.is_empty() { "no errors".to_owned() } else { errors.join(", ") };
    let (reviews, denied) = (
        count("sriov_webhook_reviews_total", None),
        count("sriov_webhook_reviews_total", Some(("outcome", "denied"))),
    );
    findings.push(Finding::ok(
        CHECK,
        format!("replica {name} since its start: {reviews} reviews, {denied} denials; {errors}"),
    ));
    findings
}
