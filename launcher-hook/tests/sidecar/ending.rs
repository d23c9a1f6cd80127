//! How the server ends, and what happens to its socket and to calls in flight.

use std::fs::{self, File};
use std::time::Duration;

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, duplex, split};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::harness::{Process, SOCKET, VMI, answers, program, wait_until};
use crate::protocol::info::{InfoParams, info_client::InfoClient};
use crate::protocol::v1alpha3;
use crate::{Server, connect, define, large_domain, over};

#[tokio::test]
async fn shutdown_is_answered_and_then_the_server_ends() {
    let server = Server::start();
    let socket = server.socket();
    let mut client = v1alpha3::callbacks_client::CallbacksClient::new(server.connect().await);
    client.shutdown(v1alpha3::ShutdownParams {}).await.unwrap();
    let mut process = server.process;
    assert!(tokio::task::spawn_blocking(move || process.wait()).await.unwrap().success());
    assert!(!socket.exists());
}

/// The kubelet would start it again.
#[tokio::test]
async fn shutdown_is_answered_and_a_server_that_keeps_serving_goes_on() {
    let server = Server::start_with(&["--keep-serving"]);
    let mut client = v1alpha3::callbacks_client::CallbacksClient::new(server.connect().await);
    for _ in 0..2 {
        client.shutdown(v1alpha3::ShutdownParams {}).await.unwrap();
    }
    InfoClient::new(server.connect().await).info(InfoParams {}).await.unwrap();
}

#[rstest]
#[case::terminate("-TERM")]
#[case::interrupt("-INT")]
#[tokio::test]
async fn a_signal_ends_it_and_takes_the_socket_away(#[case] signal: &str) {
    let server = Server::start();
    let socket = server.socket();
    // An idle connection does not hold it up.
    let _idle = server.connect().await;
    server.process.signal(signal);
    // The client's side of the idle connection has to run while the server drains.
    let mut process = server.process;
    let status = tokio::task::spawn_blocking(move || process.wait()).await.unwrap();
    assert!(status.success());
    assert!(!socket.exists());
}

/// More of a call than the server lets a client send before it has looked at it.
const LOOKED_AT: u64 = 2 * 1024 * 1024;

/// A call that is under way when SIGTERM comes is answered.
#[tokio::test]
async fn sigterm_drains() {
    let server = Server::start();
    let (mut from_server, mut to_server) = UnixStream::connect(server.socket()).await.unwrap().into_split();
    let (near, far) = duplex(64 * 1024);
    let (mut from_client, mut to_client) = split(far);
    tokio::spawn(async move {
        let _ = copy(&mut from_server, &mut to_client).await;
        to_client.shutdown().await
    });
    let call = tokio::spawn(async move {
        let domain = large_domain(3 * 1024 * 1024);
        define(over(near).await, VMI.as_bytes(), domain.as_bytes()).await
    });
    let mut begin = (&mut from_client).take(LOOKED_AT);
    let sent = copy(&mut begin, &mut to_server);
    assert_eq!(timeout(Duration::from_secs(60), sent).await.unwrap().unwrap(), LOOKED_AT);
    server.process.signal("-TERM");
    // The server may hang up before the client has said its last word.
    tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
    let answer = timeout(Duration::from_secs(60), call).await.unwrap();
    assert!(answer.unwrap().unwrap().len() > 3 * 1024 * 1024);
    let mut process = server.process;
    assert!(tokio::task::spawn_blocking(move || process.wait()).await.unwrap().success());
}

/// HTTP/2's opening words with empty SETTINGS, after which the server speaks.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Calls under way are waited for; a client that called nothing and does not take leave is not.
#[rstest]
#[case::from_the_start(b"")]
#[case::after_its_opening_words(PREFACE)]
#[tokio::test]
async fn a_silent_client_cuts_nothing_off(#[case] words: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut process = Process::start(
        program()
            .args(["serve", "--log-level", "warn", "--socket-dir"])
            .arg(folder.path())
            .stderr(File::create(&log).unwrap()),
    );
    let socket = folder.path().join(SOCKET);
    wait_until("the socket answers", || answers(&socket));
    let mut silent = UnixStream::connect(&socket).await.unwrap();
    silent.write_all(words).await.unwrap();
    if !words.is_empty() {
        silent.read_u8().await.unwrap();
    }
    // Connections are taken in their order: once a later one is answered, the silent one is there.
    InfoClient::new(connect(&socket).await).info(InfoParams {}).await.unwrap();
    process.signal("-TERM");
    assert!(tokio::task::spawn_blocking(move || process.wait()).await.unwrap().success());
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
}
