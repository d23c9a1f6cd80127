//! `--tls-dir` as people and Kubernetes change it, and what a TLS client sees meanwhile.

// Helpers of tests may fail the test on the spot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use certs::inspect::Details;
use certs::issue::{Authority, SelfSigned, pair_pem};
use certs::pair::{Half, Pair, PairError};
use certs::reload::{Change, Directory, ReloadError};
use certs::tls::{self, ClientCa};
use certs::{ServingCertificate, inspect};
use rstest::rstest;

const DAY: Duration = Duration::from_secs(86_400);

fn names() -> Vec<String> {
    vec!["hook.test.svc".to_owned(), "127.0.0.1".to_owned()]
}

fn now() -> SystemTime {
    // A whole second: a certificate holds no fractions.
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn issue() -> (String, String) {
    pair_pem(&SelfSigned::issue(&names(), 90 * DAY, now()).unwrap().pair)
}

fn write(directory: &Path, certificate: &[u8], key: &[u8]) {
    std::fs::write(directory.join("tls.crt"), certificate).unwrap();
    std::fs::write(directory.join("tls.key"), key).unwrap();
}

#[test]
fn a_self_signed_certificate_says_what_was_asked() {
    let made = SelfSigned::issue(&names(), 90 * DAY, now()).unwrap();
    let leaf = made.pair.leaf();
    assert_eq!(leaf.names, names());
    assert_eq!(leaf.not_before, now() - Duration::from_secs(300));
    assert_eq!(leaf.not_after, now() + 90 * DAY);
    assert!(leaf.is_for_servers && !leaf.is_authority);
    assert_eq!(leaf.fingerprint.len(), 95);
    let authorities = certs::pair::chain(made.ca_pem.as_bytes()).unwrap();
    assert!(Details::of(&authorities[0]).unwrap().is_authority);
    assert!(certs::pair::is_signed_by(made.pair.chain(), &authorities, now()));
    assert!(!certs::pair::is_signed_by(made.pair.chain(), &authorities, now() + 91 * DAY));
}

#[test]
fn an_authority_survives_being_stored() {
    let made = Authority::generate("test CA", 3650 * DAY, now()).unwrap();
    let read = Authority::from_pem(made.certificate_pem().as_bytes(), made.key_pem().as_bytes()).unwrap();
    let pair = read.sign(&names(), 90 * DAY, now()).unwrap();
    assert!(certs::pair::is_signed_by(pair.chain(), &[made.certificate().clone()], now()));
    assert_eq!(pair.leaf().issuer, format!("CN=test CA {}", inspect::written(now())));
    // What it signs ends with it.
    let late = read.sign(&names(), 90 * DAY, now() + 3600 * DAY).unwrap();
    assert_eq!(late.leaf().not_after, made.details().not_after);
}

enum Damage {
    None,
    EmptyCertificate,
    EmptyKey,
    HalfCertificate,
    HalfKey,
    Garbage,
    Der,
    OtherKey,
    Swapped,
    NotYetValid,
    Expired,
    Authority,
    KeyOfAnotherKind,
}

#[rstest]
#[case::good(Damage::None, "")]
#[case::empty_certificate(Damage::EmptyCertificate, "tls.crt is empty: put a PEM certificate there")]
#[case::empty_key(Damage::EmptyKey, "tls.key is empty: put a PEM private key there")]
#[case::half_written_certificate(
    Damage::HalfCertificate,
    "tls.crt is not complete PEM (a BEGIN line without its END line): it may be half written; write it \
     whole, then move it into place"
)]
#[case::half_written_key(
    Damage::HalfKey,
    "tls.key is not complete PEM (a BEGIN line without its END line): it may be half written; write it \
     whole, then move it into place"
)]
#[case::garbage(Damage::Garbage, "tls.crt holds no PEM certificate: check which file went where")]
#[case::not_a_certificate_inside(Damage::Der, "certificate 1 of tls.crt is not an X.509 certificate: ")]
#[case::key_of_another_certificate(
    Damage::OtherKey,
    "tls.key is not the key of the first certificate of tls.crt (CN=hook.test.svc): give both from one \
     issue, the server's certificate first"
)]
#[case::files_swapped(Damage::Swapped, "tls.crt holds no PEM certificate: check which file went where")]
#[case::not_yet_valid(
    Damage::NotYetValid,
    "the certificate of CN=hook.test.svc is valid from 2027-01-17T07:55:00Z on and now it is \
     2027-01-15T08:00:00Z: check the clocks, or wait"
)]
#[case::expired(
    Damage::Expired,
    "the certificate of CN=hook.test.svc expired at 2027-01-14T08:00:00Z and now it is \
     2027-01-15T08:00:00Z: renew it"
)]
#[case::the_ca_itself(
    Damage::Authority,
    "the certificate of CN=test CA 2027-01-15T08:00:00Z has no subject alternative name: no API server accepts it; issue it for SERVICE.NAMESPACE.svc"
)]
#[case::key_of_no_known_kind(
    Damage::KeyOfAnotherKind,
    "tls.key has an unsupported type: use an ECDSA P-256 or P-384, Ed25519 or RSA key"
)]
fn a_bad_pair_is_refused_and_the_good_one_goes_on(#[case] damage: Damage, #[case] sentence: &str) {
    let folder = tempfile::tempdir().unwrap();
    let serving = Arc::new(ServingCertificate::new());
    let mut directory = Directory::new(folder.path(), Arc::clone(&serving));
    let (certificate, key) = issue();
    write(folder.path(), certificate.as_bytes(), key.as_bytes());
    assert_eq!(directory.poll(now()), Ok(Change::Taken));
    let good = serving.status();
    let before = serving.served().unwrap();

    let (certificate, key) = issue();
    let half = |text: &str| text.as_bytes()[..text.len() / 2].to_vec();
    let issued_at = |time: SystemTime, lifetime| {
        let (certificate, key) = pair_pem(&SelfSigned::issue(&names(), lifetime, time).unwrap().pair);
        (certificate.into_bytes(), key.into_bytes())
    };
    let armoured =
        |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n").into_bytes();
    let (bad_certificate, bad_key) = match damage {
        Damage::None => (certificate.clone().into_bytes(), key.clone().into_bytes()),
        Damage::EmptyCertificate => (b"\n".to_vec(), key.into_bytes()),
        Damage::EmptyKey => (certificate.into_bytes(), Vec::new()),
        Damage::HalfCertificate => (half(&certificate), key.into_bytes()),
        Damage::HalfKey => (certificate.into_bytes(), half(&key)),
        Damage::Garbage => (b"\xff\x00 not PEM".to_vec(), b"\xff\x00".to_vec()),
        Damage::Der => (armoured("CERTIFICATE"), key.into_bytes()),
        Damage::OtherKey => (certificate.into_bytes(), issue().1.into_bytes()),
        Damage::Swapped => (key.into_bytes(), certificate.into_bytes()),
        Damage::NotYetValid => issued_at(now() + 2 * DAY, 90 * DAY),
        Damage::Expired => issued_at(now() - 91 * DAY, 90 * DAY),
        Damage::Authority => {
            let authority = Authority::generate("test CA", 90 * DAY, now()).unwrap();
            (authority.certificate_pem().into_bytes(), authority.key_pem().into_bytes())
        }
        Damage::KeyOfAnotherKind => (certificate.into_bytes(), armoured("PRIVATE KEY")),
    };
    write(folder.path(), &bad_certificate, &bad_key);
    let outcome = directory.poll(now());
    if sentence.is_empty() {
        assert_eq!(outcome, Ok(Change::Taken));
        assert_ne!(serving.status().serving, good.serving);
        assert_eq!(serving.status().failures, 0);
        return;
    }
    let said = outcome.unwrap_err().to_string();
    let expected = format!("{}: {sentence}", folder.path().display());
    assert!(said.starts_with(&expected), "\n said {said}\n want {expected}");
    let status = serving.status();
    assert_eq!(status.serving, good.serving);
    assert_eq!(status.last_failure.as_deref(), Some(said.as_str()));
    assert_eq!(status.failures, 1);
    assert!(Arc::ptr_eq(&before, &serving.served().unwrap()));

    // And the next good one is taken.
    let (certificate, key) = issue();
    write(folder.path(), certificate.as_bytes(), key.as_bytes());
    assert_eq!(directory.poll(now()), Ok(Change::Taken));
    assert_eq!(serving.status().last_failure, None);
    assert_eq!(serving.status().failures, 1);
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Arc::new(ServingCertificate::new());
    let mut directory = Directory::new(folder.path(), Arc::clone(&serving));
    let (certificate, _) = issue();
    std::fs::write(folder.path().join("tls.crt"), certificate).unwrap();
    let path = folder.path().join("tls.key");
    let reason = "No such file or directory (os error 2)".to_owned();
    assert_eq!(directory.poll(now()), Err(ReloadError::File { path, reason }));
    assert!(!serving.status().is_valid_at(now()));
}

#[test]
fn a_file_without_end_is_not_read_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("tls.crt")).unwrap();
    let mut directory = Directory::new(folder.path(), Arc::new(ServingCertificate::new()));
    let error = directory.poll(now()).unwrap_err().to_string();
    assert!(error.ends_with("larger than 1 MiB: not a certificate"), "{error}");
}

#[test]
fn a_chain_is_served_whole_and_its_signers_are_held_against_the_clock() {
    let authority = Authority::generate("test CA", 30 * DAY, now() - 29 * DAY).unwrap();
    let pair = authority.sign(&names(), 90 * DAY, now() - 29 * DAY).unwrap();
    let (certificate, key) = pair_pem(&pair);
    let chain = certificate + &authority.certificate_pem();
    let pair = Pair::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(pair.chain().len(), 2);
    assert_eq!(pair.check_time(now()), Ok(()));
    assert!(matches!(pair.check_time(now() + 2 * DAY), Err(PairError::Expired { .. })));
    // The CA first is the wrong order.
    let wrong = authority.certificate_pem() + &pair_pem(&pair).0;
    assert!(matches!(Pair::from_pem(wrong.as_bytes(), key.as_bytes()), Err(PairError::Mismatch { .. })));
    assert_eq!(Pair::from_pem(b"", b"").unwrap_err(), PairError::Empty { half: Half::Certificate });
}

#[test]
fn a_ca_file_that_does_not_fit_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let made = SelfSigned::issue(&names(), 90 * DAY, now()).unwrap();
    let (certificate, key) = pair_pem(&made.pair);
    write(folder.path(), certificate.as_bytes(), key.as_bytes());
    let mut directory = Directory::new(folder.path(), Arc::new(ServingCertificate::new()));

    std::fs::write(folder.path().join("ca.crt"), &made.ca_pem).unwrap();
    assert_eq!(directory.poll(now()), Ok(Change::Taken));
    assert_eq!(directory.ca_warning(), None);

    let other = Authority::generate("other CA", DAY, now()).unwrap();
    std::fs::write(folder.path().join("ca.crt"), other.certificate_pem()).unwrap();
    assert_eq!(directory.poll(now()), Ok(Change::Taken));
    let warning = directory.ca_warning().unwrap();
    assert!(warning.starts_with("no certificate of ca.crt signed the served one (issuer CN="), "{warning}");
}

#[rstest]
#[case::fresh(0, None)]
#[case::three_quarters(67, None)]
#[case::last_quarter(68, Some("less than a quarter of the serving certificate's lifetime is left (until "))]
#[case::over(91, Some("the serving certificate expired at "))]
fn the_end_is_announced(#[case] days: u32, #[case] expected: Option<&str>) {
    let serving = ServingCertificate::new();
    let made = SelfSigned::issue(&names(), 90 * DAY, now()).unwrap();
    serving.offer(&made.pair, now()).unwrap();
    let status = serving.status();
    assert_eq!(status.is_valid_at(now() + days * DAY), days <= 90);
    match (status.warning(now() + days * DAY), expected) {
        (None, None) => {}
        (Some(said), Some(expected)) => assert!(said.starts_with(expected), "{said}"),
        (said, expected) => panic!("said {said:?}, expected {expected:?}"),
    }
}

#[rstest]
#[case::empty("", "the client CA cannot be used: its certificate is empty: ")]
#[case::garbage("hello", "the client CA cannot be used: its certificate is not there: ")]
#[case::half(
    "-----BEGIN CERTIFICATE-----\nAAAA\n",
    "the client CA cannot be used: its certificate is not complete PEM "
)]
fn a_client_ca_that_is_none_is_said(#[case] pem: &str, #[case] sentence: &str) {
    let error = ClientCa::from_pem(pem.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with(sentence), "{error}");
    assert!(error.ends_with("signs the API server's client certificate"), "{error}");
}

#[test]
fn the_configuration_speaks_http_2_and_1() {
    let config = tls::server_config(Arc::new(ServingCertificate::new()), None).unwrap();
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}
