//! The registration, the answer, the certificate; and who else does the same.

use super::{others, ours, ours_of_vmis, seen};
use crate::doctor::facts::{Entry, Facts, Probe};
use crate::doctor::{Check, Code, Finding, ObjectRef};

const CHECK: Check = Check::Webhook;

/// What to do about an entry without a caBundle.
const NO_BUNDLE: &str = "see the log of the replicas, which write it (certificates.mode=managed), or of cert-manager's CA \
                         injector; with certificates.mode=secret set certificates.secret.caBundle";

pub(super) fn registration(facts: &Facts) -> Vec<Finding> {
    if let Err(findings) = seen(CHECK, facts.entries.as_ref()) {
        return findings.into_iter().chain(answer(facts)).collect();
    }
    let ours = ours(facts);
    let mut findings: Vec<Finding> =
        ours.iter().map(|entry| one(entry).about(registration_of(entry))).collect();
    if ours.is_empty() {
        findings.push(Finding::wrong(
            CHECK, Code::WebhookNotRegistered,
            "no MutatingWebhookConfiguration sends pods to sriov-webhook",
            "helm install kubevirt-sriov charts/kubevirt-sriov --namespace kubevirt-sriov --create-namespace; if \
             it is installed, helm upgrade kubevirt-sriov charts/kubevirt-sriov --namespace kubevirt-sriov \
             --reuse-values brings the registration back",
        ));
    }
    if ours.len() > 1 {
        findings.push(Finding::warning(
            CHECK, Code::WebhookRegisteredTwice,
            format!("{} registrations of sriov-webhook", ours.len()),
            "no resource is added twice, but each pod waits for all of them: uninstall the releases that are not needed",
        ));
    }
    findings
        .extend(ours_of_vmis(facts).into_iter().map(|entry| of_vmis(entry).about(registration_of(entry))));
    findings.extend(answer(facts).map(|finding| match ours[..] {
        [entry] => finding.about(registration_of(entry)),
        _ => finding,
    }));
    findings
}

fn registration_of(entry: &Entry) -> ObjectRef {
    ObjectRef::of_cluster("MutatingWebhookConfiguration", &entry.configuration)
}

fn one(entry: &Entry) -> Finding {
    let Entry { configuration, name, target, ignores_failure, .. } = entry;
    let found = format!("{configuration}: pods go to {target} ({name})");
    if !entry.has_bundle() {
        return Finding::wrong(
            CHECK,
            Code::WebhookCaMissing,
            format!("{configuration}: {name} has no caBundle, so no API server trusts the webhook"),
            NO_BUNDLE,
        );
    }
    if *ignores_failure {
        return Finding::warning(
            CHECK,
            Code::WebhookFailurePolicyIgnore,
            format!("{found}; failurePolicy is Ignore"),
            "while no replica answers, virtual machines start without their VFs and without an error: set \
             webhook.failurePolicy=Fail",
        );
    }
    Finding::ok(CHECK, found)
}

/// A release that is there already.
pub(super) fn registered_already(facts: &Facts) -> Vec<Finding> {
    let one = |entry: &&Entry| {
        Finding::warning(
            CHECK,
            Code::WebhookRegisteredTwice,
            format!("{}: pods go to {} already ({})", entry.configuration, entry.target, entry.name),
            "upgrade that release instead: with two of them each pod waits for both",
        )
        .about(registration_of(entry))
    };
    ours(facts).iter().map(one).collect()
}

/// The entry for VMIs, which only brings warnings to their authors and is never in the way.
fn of_vmis(entry: &Entry) -> Finding {
    let Entry { configuration, name, target, ignores_failure, .. } = entry;
    if !entry.has_bundle() {
        return Finding::warning(
            CHECK,
            Code::WebhookCaMissing,
            format!("{configuration}: {name} has no caBundle: authors of virtual machines get no warnings"),
            NO_BUNDLE,
        );
    }
    if !ignores_failure {
        return Finding::warning(
            CHECK,
            Code::WebhookVmisFailurePolicyFail,
            format!(
                "{configuration}: failurePolicy of {name} is Fail: while no replica answers, no VMI can be created or changed"
            ),
            "set it to Ignore, as the chart does: it only brings warnings",
        );
    }
    Finding::ok(CHECK, format!("{configuration}: VMIs go to {target} ({name})"))
}

/// What the API server did with a pod that our webhook refuses.
fn answer(facts: &Facts) -> Option<Finding> {
    let is_ours = |entry: &str| entry.ends_with(crate::doctor::facts::OUR_DOMAIN);
    Some(match facts.probe.as_ref()? {
        Probe::Refused { entry } if is_ours(entry) => {
            Finding::ok(CHECK, "the API server reaches it and trusts its certificate")
        }
        Probe::Unanswered { entry, reason } if is_ours(entry) && is_about_trust(reason) => Finding::wrong(
            CHECK,
            Code::WebhookCertificateNotTrusted,
            format!("the API server does not trust its certificate: {reason}"),
            "sriov-webhook certs inspect --tls-secret kubevirt-sriov/kubevirt-sriov-tls shows what is served; \
             compare its CA with the caBundle of the registration, which the replicas put right within a minute",
        ),
        Probe::Unanswered { entry, reason } if is_ours(entry) => Finding::wrong(
            CHECK,
            Code::WebhookNotReached,
            format!("the API server does not reach it: {reason}"),
            "are its pods ready, has its Service endpoints, and may API servers connect to port 8443 of the pods \
             (NetworkPolicy, the cloud's firewall)?",
        ),
        Probe::Passed { namespace } => Finding::wrong(
            CHECK,
            Code::WebhookNotCalled,
            format!(
                "a pod that it denies would be created in namespace {namespace}: the API server does not call it there"
            ),
            "is the namespace left out (webhook.namespaceSelector, webhook.excludedNamespaces, with scope all-pods the \
             release's own)? Try another with --probe-namespace; or is failurePolicy Ignore, and nobody answers?",
        ),
        Probe::Refused { entry } | Probe::Unanswered { entry, .. } => Finding::unknown(
            CHECK,
            Code::WebhookAnswerUnknown,
            format!("whether it answers is not known: webhook {entry} denies the pod of the dry run"),
            "try another namespace with --probe-namespace",
        ),
        Probe::Hindered { reason } => Finding::unknown(
            CHECK,
            Code::WebhookAnswerUnknown,
            format!("whether it answers is not known: {reason}"),
            "use a kubeconfig that may create pods (it is a dry run), or another --probe-namespace",
        ),
    })
}

fn is_about_trust(reason: &str) -> bool {
    ["x509", "certificate", "tls:"].iter().any(|word| reason.contains(word))
}

pub(super) fn injectors(facts: &Facts) -> Vec<Finding> {
    const CHECK: Check = Check::Injector;
    if let Err(findings) = seen(CHECK, facts.entries.as_ref()) {
        return findings;
    }
    let others = others(facts);
    if others.is_empty() {
        return vec![Finding::ok(CHECK, "no other injector of SR-IOV resources")];
    }
    let one = |entry: &&Entry| {
        Finding::warning(
            CHECK, Code::InjectorCompeting,
            format!("{}: pods go to {} as well ({})", entry.configuration, entry.target, entry.name),
            "this webhook adds nothing twice. Keep the other one if pods other than virtual machines use \
             SR-IOV: this one serves them with decisions.scope=all-pods only. Otherwise, for the SR-IOV operator's, \
             kubectl patch sriovoperatorconfig default --namespace sriov-network-operator (OpenShift: \
             openshift-sriov-network-operator) --type merge --patch '{\"spec\":{\"enableInjector\":false}}'",
        )
        .about(registration_of(entry))
    };
    others.iter().map(one).collect()
}
