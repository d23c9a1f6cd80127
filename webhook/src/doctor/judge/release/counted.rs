//! What each replica counted.

use super::CHECK;
use crate::doctor::facts::{Counters, Release};
use crate::doctor::{Code, Finding, ObjectRef};

/// Without news of NADs for so long, something is wrong with the watch, as the chart's alert has it.
const SILENCE: f64 = 600.0;

/// What the replicas have counted since they started.
pub(super) fn counted(release: &Release) -> Vec<Finding> {
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
