//! The real program and its certificates: changed under load, inspected by hand.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

mod harness;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use certs::Pair;
use certs::issue::{Authority, SelfSigned, pair_pem};
use harness::{Server, Stream, program, repository};
use rstest::rstest;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const NAME: &str = "sriov-webhook.kubevirt-sriov.svc";
const DAY: Duration = Duration::from_secs(86_400);
const SWAPS: usize = 50;

type Bundle = Arc<Vec<CertificateDer<'static>>>;

fn serve(tls_dir: &Path) -> Server {
    let networks = repository("examples/nads.yaml");
    let arguments = ["--networks".as_ref(), networks.as_os_str(), "--tls-interval".as_ref(), "10ms".as_ref()];
    Server::start(arguments.into_iter().chain(["--tls-dir".as_ref(), tls_dir.as_os_str()]))
}

/// A new connection of a client that trusts `bundle` and resumes nothing.
fn connect(address: SocketAddr, bundle: &[CertificateDer<'static>]) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(bundle.iter().cloned());
    let config = ClientConfig::builder_with_provider(certs::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(NAME).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    ask(&mut stream)?;
    Ok(stream)
}

/// One request and its answer; the path is unknown, so it is a 404 with a sentence.
fn ask(stream: &mut Stream) -> std::io::Result<()> {
    write!(stream, "GET /none HTTP/1.1\r\nHost: {NAME}\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk)?;
        answer.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 404"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                return Ok(());
            }
        }
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn authority(name: &str) -> Authority {
    Authority::generate(name, 365 * DAY, SystemTime::now()).unwrap()
}

fn issue(authority: &Authority) -> Pair {
    authority.sign(&[NAME.to_owned()], 90 * DAY, SystemTime::now()).unwrap()
}

fn write_pair(folder: &Path, certificate: &str, key: &str) {
    std::fs::write(folder.join("tls.crt"), certificate).unwrap();
    std::fs::write(folder.join("tls.key"), key).unwrap();
}

/// Puts files into a mount as the kubelet does: a folder of their own, then one symlink renamed over.
fn mount(folder: &Path, number: usize, pair: &Pair) {
    let (certificate, key) = pair_pem(pair);
    let data = folder.join(format!("..{number}"));
    std::fs::create_dir(&data).unwrap();
    write_pair(&data, &certificate, &key);
    std::os::unix::fs::symlink(format!("..{number}"), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if number == 0 {
        for file in ["tls.crt", "tls.key"] {
            std::os::unix::fs::symlink(format!("..data/{file}"), folder.join(file)).unwrap();
        }
    } else {
        std::fs::remove_dir_all(folder.join(format!("..{}", number - 1))).unwrap();
    }
}

/// Publishes a bundle and waits until nobody is on the way who started with the one before.
fn publish(published: &Mutex<Bundle>, bundle: Vec<CertificateDer<'static>>) {
    let before = std::mem::replace(&mut *published.lock().unwrap(), Arc::new(bundle));
    while Arc::strong_count(&before) > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the server shows `pair`, as a client sees it that trusts old and new.
fn wait_until_shown(server: &Server, bundle: &[CertificateDer<'static>], pair: &Pair) {
    let start = Instant::now();
    loop {
        let stream = connect(server.https, bundle).unwrap();
        if stream.conn.peer_certificates().unwrap() == pair.chain() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "the new certificate does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn fifty_swaps_by_symlink_fail_no_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let mut signer = authority("CA 0");
    mount(folder.path(), 0, &issue(&signer));
    let server = serve(folder.path());
    let published: Mutex<Bundle> = Mutex::new(Arc::new(vec![signer.certificate().clone()]));
    let mut open = connect(server.https, &[signer.certificate().clone()]).unwrap();
    let (is_over, handshakes) = (AtomicBool::new(false), AtomicU64::new(0));

    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let bundle = Arc::clone(&published.lock().unwrap());
                    if let Err(error) = connect(server.https, &bundle) {
                        // The others must end too, or the test would never fail.
                        is_over.store(true, Ordering::Relaxed);
                        panic!("a new connection failed: {error}");
                    }
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for swap in 1..=SWAPS {
            // Every tenth time the CA rolls: old and new side by side, then the new one signs, then it
            // stands alone.
            let next = (swap % 10 == 0).then(|| authority(&format!("CA {swap}")));
            let mut both = vec![signer.certificate().clone()];
            both.extend(next.as_ref().map(|next| next.certificate().clone()));
            publish(&published, both.clone());
            signer = next.unwrap_or(signer);
            let pair = issue(&signer);
            mount(folder.path(), swap, &pair);
            wait_until_shown(&server, &both, &pair);
            publish(&published, vec![signer.certificate().clone()]);
            ask(&mut open).expect("the open connection was dropped");
            if is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });

    assert!(handshakes.load(Ordering::Relaxed) >= SWAPS as u64);
    assert_eq!(server.metric("sriov_webhook_certificate_failures_total"), 0.0);
    assert!(server.get("/readyz").status == 200);
}

#[test]
fn a_bad_pair_shows_in_the_metrics_and_the_good_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let signer = authority("CA");
    let (certificate, key) = pair_pem(&issue(&signer));
    write_pair(folder.path(), &certificate, &key);
    let server = serve(folder.path());
    let end = server.metric("sriov_webhook_certificate_not_after_timestamp_seconds");

    std::fs::write(folder.path().join("tls.key"), pair_pem(&issue(&signer)).1).unwrap();
    let start = Instant::now();
    while server.metric("sriov_webhook_certificate_failures_total") < 2.0 {
        assert!(start.elapsed() < Duration::from_secs(30), "no failure was counted");
        std::thread::sleep(Duration::from_millis(10));
    }
    connect(server.https, &[signer.certificate().clone()]).unwrap();
    assert_eq!(server.metric("sriov_webhook_certificate_not_after_timestamp_seconds"), end);
    assert!(server.get("/readyz").status == 200);
}

#[rstest]
#[case::nothing("", "", "tls.crt is empty: put a PEM certificate there")]
#[case::garbage("garbage", "garbage", "tls.crt holds no PEM certificate: check which file went where")]
fn without_a_good_pair_it_does_not_start(
    #[case] certificate: &str,
    #[case] key: &str,
    #[case] sentence: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), certificate, key);
    let output = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .arg("--networks")
        .arg(repository("examples/nads.yaml"))
        .arg("--tls-dir")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn inspect_says_in_text_and_exit_status_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let made = SelfSigned::issue(&[NAME.to_owned()], 90 * DAY, SystemTime::now()).unwrap();
    let (certificate, key) = pair_pem(&made.pair);
    write_pair(folder.path(), &certificate, &key);
    let inspect = |arguments: &[&str]| {
        let output =
            program().args(["certs", "inspect"]).arg(folder.path()).args(arguments).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    let (text, code) = inspect(&[]);
    assert_eq!(code, Some(0));
    for expected in [NAME, &made.pair.leaf().fingerprint, "ok     tls.key is the key of tls.crt"] {
        assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
    }
    let (json, _) = inspect(&["--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["certificates"][0]["names"][0], NAME);
    assert_eq!(json["good"], true);

    std::fs::write(folder.path().join("tls.key"), pair_pem(&issue(&authority("other"))).1).unwrap();
    let (text, code) = inspect(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("WRONG  tls.key is not the key of the first certificate"), "{text}");

    let output = program().args(["certs", "inspect", "/none"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "sriov-webhook certs: cannot read /none: No such file or directory (os error 2)\n"
    );
}
