//! `sriov-webhook certs inspect` as people and programs read it.

// Helpers of tests may fail the test on the spot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, SystemTime};

use certs::issue::{Authority, SelfSigned, pair_pem};
use certs::report::Report;
use certs::rotation::{Data, Settings, Vault};
use std::sync::Arc;

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn folder() -> Data {
    let made = SelfSigned::issue(&["hook.test.svc".to_owned()], 90 * DAY, now()).unwrap();
    let (certificate, key) = pair_pem(&made.pair);
    [("tls.crt", certificate), ("tls.key", key), ("ca.crt", made.ca_pem)]
        .map(|(key, value)| (key.to_owned(), value.into_bytes()))
        .into()
}

fn wrong(report: &Report) -> Vec<&str> {
    let wrong = report.findings().iter().filter(|finding| !finding.is_good);
    wrong.map(|finding| finding.sentence.as_str()).collect()
}

#[test]
fn a_good_folder_reads_well() {
    let report = Report::of_data(&folder(), now() + DAY);
    assert!(report.is_good());
    // What differs each time is left out.
    let text: Vec<String> = report
        .text()
        .lines()
        .filter(|line| !line.starts_with("  serial") && !line.starts_with("  SHA-256"))
        .map(|line| line.trim_end().to_owned())
        .collect();
    let expected = "\
tls.crt
  subject      CN=hook.test.svc
  issuer       CN=sriov-webhook self-signed CA 2027-01-15T08:00:00Z
  names        hook.test.svc
  valid        2027-01-15T07:55:00Z to 2027-04-15T08:00:00Z (89 days left)

ca.crt (CA)
  subject      CN=sriov-webhook self-signed CA 2027-01-15T08:00:00Z
  issuer       CN=sriov-webhook self-signed CA 2027-01-15T08:00:00Z
  valid        2027-01-15T07:55:00Z to 2027-04-15T08:00:00Z (89 days left)

ok     tls.crt is valid now, 89 days more
ok     ca.crt is valid now, 89 days more
ok     tls.key is the key of tls.crt
ok     a CA of ca.crt signed tls.crt";
    assert_eq!(text.join("\n"), expected);
    let json = report.json();
    assert_eq!(json["good"], true);
    assert_eq!(json["certificates"][0]["names"][0], "hook.test.svc");
    assert_eq!(json["certificates"][0]["daysLeft"], 89);
    assert_eq!(json["certificates"][1]["isCA"], true);
}

#[test]
fn what_is_wrong_is_said() {
    let mut data = folder();
    data.insert("tls.key".into(), folder()["tls.key"].clone());
    let mismatch = "tls.key is not the key of the first certificate of tls.crt (CN=hook.test.svc): give both from \
                    one issue, the server's certificate first";
    assert_eq!(wrong(&Report::of_data(&data, now())), [mismatch]);

    let mut data = folder();
    data.insert("ca.crt".into(), folder()["ca.crt"].clone());
    // The two CAs were made in the same second and only their keys differ.
    let foreign = "no CA of ca.crt signed tls.crt (its issuer is CN=sriov-webhook self-signed CA \
                   2027-01-15T08:00:00Z)";
    assert_eq!(wrong(&Report::of_data(&data, now())), [foreign]);

    let late = Report::of_data(&folder(), now() + 91 * DAY);
    let expired = "tls.crt expired at 2027-04-15T08:00:00Z and now it is 2027-04-16T08:00:00Z";
    assert_eq!(wrong(&late)[0], expired);

    let nothing = Report::of_data(&Data::new(), now());
    assert_eq!(wrong(&nothing), ["tls.crt is empty: put a PEM certificate there"]);
    let garbage = Report::of_file("some.pem", b"hello", now());
    assert_eq!(wrong(&garbage), ["some.pem holds no PEM certificate: check which file went where"]);
}

#[test]
fn a_managed_secret_shows_its_cas() {
    let settings = Settings::new(vec!["hook.test.svc".into()]);
    let authority = |days: u32| {
        Arc::new(Authority::generate("CA", settings.authority_lifetime, now() - days * DAY).unwrap())
    };
    let signer = authority(10);
    let serving = signer.sign(&settings.names, settings.serving_lifetime, now()).unwrap();
    let mut vault = Vault {
        serving: Some(Arc::new(serving)),
        signer: Some(signer),
        next: Some(authority(0)),
        ..Vault::default()
    };
    vault.retire(authority(90).certificate(), Some(now() + DAY));
    let report = Report::of_data(&vault.data(), now());
    assert!(report.is_good(), "{}", report.text());
    let json = report.json();
    let parts: Vec<_> = json["certificates"].as_array().unwrap().iter().map(|one| &one["part"]).collect();
    assert_eq!(parts, ["tls.crt", "signer.crt", "next.crt", "retired.crt"]);
    assert!(report.text().contains("ok     a new CA waits to be trusted everywhere before it signs"));

    let mut data = vault.data();
    data.insert("signer.key".into(), b"gone".to_vec());
    let said = "signer.crt and signer.key: the CA cannot sign: its key is not there";
    assert_eq!(wrong(&Report::of_data(&data, now())), [said]);
}
