//! The serving certificate: is it valid, is it for the Service, and does the registration trust it?

use std::time::{Duration, SystemTime};

use apiserver::Failure;
use certs::inspect::{Details, written};
use certs::{pair, rotation};
use contract::cut;
use rustls_pki_types::CertificateDer;

use super::{CHECK, LONGEST, replica_counters};
use crate::doctor::facts::{Entry, Facts, Release, Served};
use crate::doctor::judge::{ours, ours_of_vmis};
use crate::doctor::{Code, Finding, ObjectRef};

pub(super) fn certificate(release: &Release, facts: &Facts) -> Vec<Finding> {
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
            let entries = ours(facts).into_iter().chain(ours_of_vmis(facts));
            let untrusted: Vec<&Entry> = entries
                .filter(|entry| entry.has_bundle() && !is_trusted(chain, entry, release.now))
                .collect();
            findings.extend(untrusted.into_iter().map(|entry| untrusting(entry, leaf)));
            findings
        }
    }
}

/// Whether an API server with the entry's bundle trusts the chain.
fn is_trusted(chain: &[CertificateDer<'static>], entry: &Entry, now: SystemTime) -> bool {
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
