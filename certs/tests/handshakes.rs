//! A real TLS server under a steady load of new connections while its certificate changes under it.

// Helpers of tests may fail the test on the spot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use certs::issue::{Authority, pair_pem};
use certs::reload::{Change, Directory};
use certs::tls::{self, ClientCa};
use certs::{Pair, ServingCertificate};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NAME: &str = "sriov-webhook.kubevirt-sriov.svc";
const DAY: Duration = Duration::from_secs(86_400);
const SWAPS: usize = 50;

type Bundle = Arc<Vec<CertificateDer<'static>>>;

fn issue(authority: &Authority) -> Pair {
    authority.sign(&[NAME.to_owned()], 90 * DAY, SystemTime::now()).unwrap()
}

fn authority(name: &str) -> Authority {
    Authority::generate(name, 365 * DAY, SystemTime::now()).unwrap()
}

/// Puts files into a mount as the kubelet does: a folder of their own, then one symlink renamed over.
fn mount(folder: &Path, number: usize, pair: &Pair) {
    let (certificate, key) = pair_pem(pair);
    let data = folder.join(format!("..{number}"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("tls.crt"), certificate).unwrap();
    std::fs::write(data.join("tls.key"), key).unwrap();
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

/// Answers every line with itself.
async fn echo(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                if stream.write_all(&byte).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn connect(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from(NAME).unwrap(), stream).await
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_all(b"x").await?;
    stream.flush().await?;
    let mut byte = [0];
    stream.read_exact(&mut byte).await.map(drop)
}

fn roots(bundle: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(bundle.iter().cloned());
    roots
}

fn client(bundle: &[CertificateDer<'static>]) -> ClientConfig {
    ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(bundle))
        .with_no_client_auth()
}

async fn start(serving: &Arc<ServingCertificate>, client_ca: Option<&ClientCa>) -> SocketAddr {
    let config = tls::server_config(Arc::clone(serving), client_ca).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(echo(listener, TlsAcceptor::from(Arc::new(config))));
    address
}

#[tokio::test]
async fn fifty_swaps_by_symlink_fail_no_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let mut signer = authority("CA 0");
    mount(folder.path(), 0, &issue(&signer));
    let serving = Arc::new(ServingCertificate::new());
    let mut directory = Directory::new(folder.path(), Arc::clone(&serving));
    assert_eq!(directory.poll(SystemTime::now()), Ok(Change::Taken));
    let address = start(&serving, None).await;
    let stop = Arc::new(tokio::sync::Notify::new());
    let stopped = Arc::clone(&stop);
    let reloading =
        tokio::spawn(directory.run(Duration::from_millis(10), async move { stopped.notified().await }));

    let published: Arc<Mutex<Bundle>> = Arc::new(Mutex::new(Arc::new(vec![signer.certificate().clone()])));
    let first = [signer.certificate().clone()];
    let mut open = connect(address, client(&first)).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let handshakes = Arc::new(AtomicU64::new(0));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (published, is_over) = (Arc::clone(&published), Arc::clone(&is_over));
            let handshakes = Arc::clone(&handshakes);
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    // What is current when it starts, and a configuration of its own: no resumption.
                    let bundle = Arc::clone(&published.lock().unwrap());
                    let mut stream = connect(address, client(&bundle)).await.expect("a handshake failed");
                    ask(&mut stream).await.expect("a new connection was dropped");
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    for swap in 1..=SWAPS {
        // Every tenth time the CA rolls: first old and new side by side, then the new one signs, then
        // it stands alone.
        let next = (swap % 10 == 0).then(|| authority(&format!("CA {swap}")));
        if let Some(next) = &next {
            publish(&published, vec![signer.certificate().clone(), next.certificate().clone()]).await;
        }
        signer = next.unwrap_or(signer);
        let pair = issue(&signer);
        let before = handshakes.load(Ordering::Relaxed);
        mount(folder.path(), swap, &pair);
        while serving.status().serving.unwrap().fingerprint != pair.leaf().fingerprint {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        publish(&published, vec![signer.certificate().clone()]).await;
        ask(&mut open).await.expect("the open connection was dropped");
        while handshakes.load(Ordering::Relaxed) < before + 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for client in load {
        client.await.unwrap();
    }
    stop.notify_one();
    reloading.await.unwrap();
    assert_eq!(serving.status().failures, 0);
    assert!(handshakes.load(Ordering::Relaxed) >= 4 * SWAPS as u64);
}

/// Publishes a bundle and waits until nobody is on the way who started with the one before.
async fn publish(published: &Mutex<Bundle>, bundle: Vec<CertificateDer<'static>>) {
    let before = std::mem::replace(&mut *published.lock().unwrap(), Arc::new(bundle));
    while Arc::strong_count(&before) > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_empty_slot_turns_clients_away_and_the_first_certificate_lets_them_in() {
    let serving = Arc::new(ServingCertificate::new());
    let address = start(&serving, None).await;
    let signer = authority("CA");
    let bundle = [signer.certificate().clone()];
    assert!(connect(address, client(&bundle)).await.is_err());
    serving.offer(&issue(&signer), SystemTime::now()).unwrap();
    let mut stream = connect(address, client(&bundle)).await.unwrap();
    ask(&mut stream).await.unwrap();
    // And only those who trust it.
    assert!(connect(address, client(&[authority("other").certificate().clone()])).await.is_err());
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_get_in() {
    let signer = authority("CA");
    let serving = Arc::new(ServingCertificate::new());
    serving.offer(&issue(&signer), SystemTime::now()).unwrap();
    let clients = authority("front proxy CA");
    let client_ca = ClientCa::from_pem(clients.certificate_pem().as_bytes()).unwrap();
    let address = start(&serving, Some(&client_ca)).await;
    let bundle = [signer.certificate().clone()];

    let with = |signer: &Authority| {
        let (certificate, key) = client_pair(signer);
        ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&bundle))
            .with_client_auth_cert(vec![certificate], key)
            .unwrap()
    };
    // In TLS 1.3 a client learns of the refusal with the first answer.
    let reaches = async |config| match connect(address, config).await {
        Ok(mut stream) => ask(&mut stream).await.is_ok(),
        Err(_) => false,
    };
    assert!(reaches(with(&clients)).await);
    assert!(!reaches(with(&authority("stranger"))).await);
    assert!(!reaches(client(&bundle)).await);
}

/// A client's certificate; our own code issues none.
fn client_pair(signer: &Authority) -> (CertificateDer<'static>, rustls::pki_types::PrivateKeyDer<'static>) {
    let key = rcgen::KeyPair::from_pem(&signer.key_pem()).unwrap();
    let mut issuer = rcgen::CertificateParams::default();
    let mut name = rcgen::DistinguishedName::new();
    name.push(rcgen::DnType::CommonName, signer.details().subject.trim_start_matches("CN="));
    issuer.distinguished_name = name;
    let issuer = rcgen::Issuer::new(issuer, key);
    let mut parameters = rcgen::CertificateParams::default();
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    (certificate.der().clone(), key.into())
}
