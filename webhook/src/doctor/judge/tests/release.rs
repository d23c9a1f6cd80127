//! What doctor says of the Deployment, its replicas, its flags and its certificate.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use apiserver::Failure;
use certs::issue::Authority;
use k8s_openapi::api::core::v1::{Pod, Secret};

use super::*;
use crate::doctor::facts::{Counters, Decisions, Deployment, Release, Replica, Served, Source};

const DAY: Duration = Duration::from_secs(86_400);

/// The moment at which everything is looked at.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * 20_000
}

/// The CA of the release.
pub(super) fn authority() -> &'static Authority {
    static AUTHORITY: LazyLock<Authority> =
        LazyLock::new(|| Authority::generate("test", DAY * 3650, now() - DAY * 30).unwrap());
    &AUTHORITY
}

/// What is served under the Service's name, issued so many days ago for so many days.
fn served(name: &str, age: u32, lifetime: u32) -> Served {
    let pair = authority().sign(&[name.to_owned()], DAY * lifetime, now() - DAY * age).unwrap();
    Served { secret: "tls".to_owned(), chain: Ok(pair.chain().to_vec()), leaf: Some(pair.leaf().clone()) }
}

const NAME: &str = "kubevirt-sriov.kubevirt-sriov.svc";

fn page(version: &str, more: &str) -> Counters {
    Counters::read(&format!(
        "sriov_webhook_build_info{{version=\"{version}\"}} 1\nsriov_webhook_networks_listed 1\n\
         sriov_webhook_reviews_total{{kind=\"pod\",outcome=\"patched\",reason=\"\"}} 7\n{more}"
    ))
}

fn replica(name: &str) -> Replica {
    Replica {
        name: name.to_owned(),
        is_ready: true,
        counters: Some(Ok(page(env!("CARGO_PKG_VERSION"), ""))),
        ..Replica::default()
    }
}

fn deployment() -> Deployment {
    Deployment {
        name: "kubevirt-sriov".to_owned(),
        desired: 2,
        ready: 2,
        updated: 2,
        image: format!("example.com:5000/webhook:{}", env!("CARGO_PKG_VERSION")),
        arguments: vec!["serve".to_owned()],
        secret: Some("tls".to_owned()),
        admin_port: Some(8080),
        ..Deployment::default()
    }
}

/// A release that is as it should be.
pub(super) fn running() -> Release {
    Release {
        namespace: "kubevirt-sriov".to_owned(),
        service: "kubevirt-sriov".to_owned(),
        labels: Some("app=kubevirt-sriov".to_owned()),
        deployments: Ok(Some(vec![deployment()])),
        replicas: Ok(vec![replica("hook-1"), replica("hook-2")]),
        served: Some(Ok(served(NAME, 10, 90))),
        now: now(),
    }
}

/// Pods are decided as by the release, whose flags are these.
pub(super) fn decisions(options: Options) -> Decisions {
    let deployment = "kubevirt-sriov/kubevirt-sriov".to_owned();
    Decisions { options, source: Source::Release { deployment, flags: Vec::new() } }
}

/// What is found about the release, but for what is ok, each with its code and object.
fn said_of(facts: &Facts, source: Source) -> String {
    let decisions = Decisions { options: Options::default(), source };
    let report = judge(facts, &[Check::Release], &decisions);
    let lines = report.findings.iter().filter(|finding| finding.state != State::Ok).map(|finding| {
        let object = finding.object.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        format!("{} {} {object}: {}\n", finding.state.as_str(), finding.code.unwrap(), finding.found)
    });
    lines.collect()
}

fn said(change: impl FnOnce(&mut Release)) -> String {
    let mut release = running();
    change(&mut release);
    let facts = Facts { release: Some(release), ..well() };
    said_of(&facts, decisions(Options::default()).source)
}

fn change_deployment(release: &mut Release, change: impl FnOnce(&mut Deployment)) {
    let mut changed = deployment();
    change(&mut changed);
    release.deployments = Ok(Some(vec![changed]));
}

fn refused<T>(object: Object) -> Result<T, Failure> {
    Err(Failure::new("get", object, Kind::Forbidden { reason: "no".to_owned() }))
}

#[test]
fn one_that_runs() {
    assert_eq!(said(|_| {}), "");
}

#[test]
fn replicas_that_are_not_as_many_as_they_should_be() {
    let lines = [
        said(|release| change_deployment(release, |one| one.ready = 0)),
        said(|release| {
            change_deployment(release, |one| one.ready = 1);
            let trouble = Some("ImagePullBackOff: no such\ntag".to_owned());
            let waits =
                Replica { is_ready: false, trouble, restarts: 3, counters: None, ..replica("hook-3") };
            release.replicas = Ok(vec![replica("hook-1"), waits]);
        }),
        said(|release| change_deployment(release, |one| one.desired = 0)),
        said(|release| change_deployment(release, |one| one.updated = 1)),
        said(|release| change_deployment(release, |one| one.is_unobserved = true)),
    ];
    insta::assert_snapshot!(lines.concat(), @r"
    WRONG release-not-ready Deployment/kubevirt-sriov/kubevirt-sriov: Deployment kubevirt-sriov/kubevirt-sriov: 0 of 2 replicas are ready
    warning release-replicas-missing Deployment/kubevirt-sriov/kubevirt-sriov: Deployment kubevirt-sriov/kubevirt-sriov: 1 of 2 replicas are ready; hook-3: ImagePullBackOff: no such tag, restarted 3 times
    WRONG release-not-ready Deployment/kubevirt-sriov/kubevirt-sriov: Deployment kubevirt-sriov/kubevirt-sriov: 2 of 0 replicas are ready
    warning release-rollout-unfinished Deployment/kubevirt-sriov/kubevirt-sriov: Deployment kubevirt-sriov/kubevirt-sriov: 2 of 2 replicas are ready, and 1 of them have the present template
    warning release-rollout-unfinished Deployment/kubevirt-sriov/kubevirt-sriov: Deployment kubevirt-sriov/kubevirt-sriov: 2 of 2 replicas are ready, and 2 of them have the present template
    ");
}

#[test]
fn what_is_behind_the_service() {
    let lines = [
        said(|release| release.deployments = Ok(None)),
        said(|release| release.deployments = Ok(Some(Vec::new()))),
        said(|release| release.deployments = Ok(Some(vec![deployment(), deployment()]))),
        said(|release| release.deployments = refused(Object::named("Service", "a", "b"))),
    ];
    insta::assert_snapshot!(lines.concat(), @r"
    WRONG release-service-missing Service/kubevirt-sriov/kubevirt-sriov: Service kubevirt-sriov/kubevirt-sriov, to which the registration sends pods, does not exist
    unknown release-deployment-unknown Service/kubevirt-sriov/kubevirt-sriov: no Deployment in namespace kubevirt-sriov has the labels that Service kubevirt-sriov selects and serves
    unknown release-deployment-unknown Service/kubevirt-sriov/kubevirt-sriov: Service kubevirt-sriov/kubevirt-sriov selects the pods of kubevirt-sriov, kubevirt-sriov
    unknown cannot-read -: not allowed to get Service a/b (the API server says: no)
    ");
}

#[test]
fn versions_of_replicas_and_image() {
    let without_counters = |release: &mut Release| release.replicas = Ok(Vec::new());
    let lines = [
        said(|release| {
            let old = Replica { counters: Some(Ok(page("0.0.9", ""))), ..replica("hook-2") };
            release.replicas = Ok(vec![replica("hook-1"), old]);
        }),
        said(|release| {
            without_counters(release);
            change_deployment(release, |one| one.image = "example.com/webhook:v9.9.9@sha256:ab".to_owned());
        }),
        said(|release| {
            without_counters(release);
            change_deployment(release, |one| one.image = "example.com:5000/webhook@sha256:ab".to_owned());
        }),
        said(|release| {
            without_counters(release);
            change_deployment(release, |one| {
                one.image = "example.com/webhook:edge".to_owned();
                one.version = Some(env!("CARGO_PKG_VERSION").to_owned());
            });
        }),
    ];
    let text = lines.concat().replace(env!("CARGO_PKG_VERSION"), "OURS");
    insta::assert_snapshot!(text, @r"
    warning release-version-differs Deployment/kubevirt-sriov/kubevirt-sriov: replica hook-2 is version 0.0.9, and this program is OURS
    warning release-version-differs Deployment/kubevirt-sriov/kubevirt-sriov: image example.com/webhook:v9.9.9@sha256:ab of Deployment kubevirt-sriov/kubevirt-sriov is version 9.9.9, and this program is OURS
    unknown release-version-unknown Deployment/kubevirt-sriov/kubevirt-sriov: image example.com:5000/webhook@sha256:ab of Deployment kubevirt-sriov/kubevirt-sriov names no version
    ");
}

#[test]
fn certificates() {
    let other = Authority::generate("other", DAY * 100, now()).unwrap().certificate_pem().into_bytes();
    let bundle = |about_vmis: bool| {
        let name = if about_vmis { "vmis.kubevirt-sriov.io" } else { "pods.kubevirt-sriov.io" };
        let entry = Entry { bundle: other.clone(), about_vmis, ..entry("kubevirt-sriov", name) };
        let facts = Facts { entries: Some(Ok(vec![entry])), ..well() };
        said_of(&facts, decisions(Options::default()).source)
    };
    let broken = |chain: &str| Served { secret: "tls".to_owned(), chain: Err(chain.to_owned()), leaf: None };
    let lines = [
        said(|release| release.served = Some(Ok(served(NAME, 20, 10)))),
        said(|release| release.served = Some(Ok(served(NAME, 20, 25)))),
        said(|release| release.served = Some(Ok(served("other.kubevirt-sriov.svc", 1, 90)))),
        said(|release| release.served = Some(Ok(served("*.kubevirt-sriov.svc", 1, 90)))),
        said(|release| release.served = Some(Ok(broken("it does not exist")))),
        said(|release| release.now = now() - DAY * 15),
        bundle(false),
        bundle(true),
        said(|release| release.served = Some(refused(Object::named("Secret", "a", "tls")))),
        said(|release| {
            release.served = Some(refused(Object::named("Secret", "a", "tls")));
            let ended = page(
                env!("CARGO_PKG_VERSION"),
                "sriov_webhook_certificate_not_after_timestamp_seconds 1000000000\n",
            );
            release.replicas = Ok(vec![Replica { counters: Some(Ok(ended)), ..replica("hook-1") }]);
        }),
    ];
    let text: Vec<&str> = lines.iter().flat_map(|line| line.lines()).collect();
    // The CA's own name has the moment of its making in it.
    let text = text.join("\n");
    insta::assert_snapshot!(text, @r"
    WRONG release-certificate-expired Secret/kubevirt-sriov/tls: the serving certificate in Secret kubevirt-sriov/tls expired at 2024-09-24T00:00:00Z: API servers do not trust it
    warning release-certificate-ending Secret/kubevirt-sriov/tls: the serving certificate in Secret kubevirt-sriov/tls expires at 2024-10-09T00:00:00Z, and should have been renewed
    WRONG release-certificate-name Secret/kubevirt-sriov/tls: the serving certificate in Secret kubevirt-sriov/tls is for other.kubevirt-sriov.svc, and API servers expect kubevirt-sriov.kubevirt-sriov.svc
    WRONG release-certificate-missing Secret/kubevirt-sriov/tls: Secret kubevirt-sriov/tls: it does not exist
    WRONG release-certificate-expired Secret/kubevirt-sriov/tls: the serving certificate in Secret kubevirt-sriov/tls is valid from 2024-09-23T23:55:00Z on only
    WRONG release-ca-mismatch MutatingWebhookConfiguration/kubevirt-sriov: kubevirt-sriov: no CA of the caBundle of pods.kubevirt-sriov.io has signed the serving certificate (its issuer is CN=test 2024-09-04T00:00:00Z)
    warning release-ca-mismatch MutatingWebhookConfiguration/kubevirt-sriov: kubevirt-sriov: no CA of the caBundle of vmis.kubevirt-sriov.io has signed the serving certificate (its issuer is CN=test 2024-09-04T00:00:00Z)
    note not-looked-at -: the serving certificate was not compared with the registration: not allowed to get Secret a/tls (the API server says: no)
    WRONG release-certificate-expired Pod/kubevirt-sriov/hook-1: replica hook-1 serves a certificate that expired at 2001-09-09T01:46:40Z
    note not-looked-at -: the serving certificate was not compared with the registration: not allowed to get Secret a/tls (the API server says: no)
    ");
}

#[test]
fn what_replicas_counted() {
    let with = |more: &'static str| {
        said(move |release| {
            let counters = Some(Ok(page(env!("CARGO_PKG_VERSION"), more)));
            release.replicas = Ok(vec![Replica { counters, ..replica("hook-1") }]);
        })
    };
    let lines = [
        with("sriov_webhook_requests_refused_total{reason=\"internal\"} 2\n"),
        with("sriov_webhook_networks_silence_seconds 700.4\n"),
        with("sriov_webhook_requests_refused_total{reason=\"overload\"} 9\n"),
        said(|release| {
            let counters = Some(refused(Object::named("pods/proxy", "a", "hook-1")));
            release.replicas = Ok(vec![Replica { counters, ..replica("hook-1") }]);
        }),
        said(|release| release.replicas = forbidden(Resource::of::<Pod>())),
    ];
    insta::assert_snapshot!(lines.concat(), @r"
    warning release-internal-errors Pod/kubevirt-sriov/hook-1: replica hook-1: 2 internal errors since its start
    warning release-networks-stale Pod/kubevirt-sriov/hook-1: replica hook-1 has had no news of NADs for 700 s
    note not-looked-at Pod/kubevirt-sriov/hook-1: the errors that the replicas counted were not looked at: not allowed to get pods/proxy a/hook-1 (the API server says: no)
    unknown cannot-read -: not allowed to list pods in all namespaces (the API server says: no)
    ");
}

#[test]
fn errors_that_may_be_long_past_are_said() {
    let more = "sriov_webhook_requests_refused_total{reason=\"overload\"} 9\nsriov_webhook_certificate_failures_total 1\n";
    let mut release = running();
    let counters = Some(Ok(page(env!("CARGO_PKG_VERSION"), more)));
    release.replicas = Ok(vec![Replica { counters, ..replica("hook-1") }]);
    let facts = Facts { release: Some(release), ..well() };
    let report = judge(&facts, &[Check::Release], &decisions(Options::default()));
    let last = report.findings.last().unwrap();
    insta::assert_snapshot!(last.found, @"replica hook-1 since its start: 7 reviews, 0 denials; 9 requests turned away by overload, 1 certificates that cannot be used");
}

#[test]
fn flags_that_are_not_the_releases_are_said_whatever_is_checked() {
    let unread = || Source::Unread { reason: "not allowed".to_owned() };
    insta::assert_snapshot!(said_of(&well(), unread()), @"unknown release-flags-unknown -: the flags of the release are not known, and pods are decided by those of this command line: not allowed");
    let decisions = Decisions { options: Options::default(), source: unread() };
    let report = judge(&well(), &[Check::Nad], &decisions);
    assert_eq!(report.findings[0].code, Some(Code::ReleaseFlagsUnknown));
    assert!(!report.healthy);
    insta::assert_snapshot!(said_of(&well(), Source::CommandLine), @"note not-looked-at -: pods are decided by the flags of this command line");
}

#[test]
fn a_registration_without_a_service() {
    let none = Facts { release: None, ..well() };
    let source = || decisions(Options::default()).source;
    let unregistered = Facts { entries: Some(Ok(Vec::new())), ..none.clone() };
    let unseen = Facts { entries: Some(forbidden(Resource::of::<Secret>())), ..none.clone() };
    let lines = [said_of(&none, source()), said_of(&unregistered, source()), said_of(&unseen, source())];
    insta::assert_snapshot!(lines.concat(), @r"
    note not-looked-at -: the registration names a URL and no Service, so its release was not looked at
    unknown release-deployment-unknown -: no release is registered, so none was looked at
    unknown cannot-read -: not allowed to list secrets in all namespaces (the API server says: no)
    ");
}
