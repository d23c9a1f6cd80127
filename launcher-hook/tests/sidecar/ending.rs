//! How the server ends, and what becomes of its socket and of calls under way.

use std::time::Duration;

use rstest::rstest;

use crate::harness::VMI;
use crate::protocol::info::{InfoParams, info_client::InfoClient};
use crate::protocol::v1alpha3;
use crate::{Server, define, large_domain};

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

/// A call that is under way when SIGTERM comes is answered.
#[tokio::test]
async fn sigterm_drains() {
    let server = Server::start();
    let channel = server.connect().await;
    InfoClient::new(channel.clone()).info(InfoParams {}).await.unwrap();
    let domain = large_domain(3 * 1024 * 1024);
    let call = tokio::spawn(async move { define(channel, VMI.as_bytes(), domain.as_bytes()).await });
    // The request is on its way: its first bytes are written when the task has run once.
    tokio::time::sleep(Duration::from_millis(1)).await;
    server.process.signal("-TERM");
    assert!(call.await.unwrap().unwrap().len() > 3 * 1024 * 1024);
    let mut process = server.process;
    assert!(tokio::task::spawn_blocking(move || process.wait()).await.unwrap().success());
}
