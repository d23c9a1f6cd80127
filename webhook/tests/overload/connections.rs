//! More connections than there are places for, and who gets one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Stream, any_certificate, connect};
use crate::{HOUR, answer, ask, asked_until_answered, eventually, half_sent, is_answered, is_closed, serve};
use rstest::rstest;

#[test]
fn a_connection_too_many_is_closed_at_once_and_a_free_place_is_taken_at_once() {
    let server = serve(&["--max-connections", "4", "--handshake-timeout", HOUR, "--read-timeout", HOUR]);
    let mut open: Vec<_> = (0..4).map(|_| half_sent(&server)).collect();
    eventually("all are seen", || server.metric("sriov_webhook_reviews_in_flight") == 4.0);
    for _ in 0..20 {
        assert!(is_closed(&mut TcpStream::connect(server.https).unwrap()));
    }
    assert_eq!(server.metric("sriov_webhook_connections_turned_away_total"), 20.0);
    assert_eq!(server.metric("sriov_webhook_connections_open"), 4.0);
    assert_eq!(server.get("/readyz").status, 200, "probes have places of their own");
    for (stream, rest) in &mut open {
        stream.write_all(rest.as_bytes()).unwrap();
        stream.flush().unwrap();
        assert!(is_answered(&answer(stream).unwrap()));
    }
    open.pop();
    asked_until_answered(&server);
}

#[test]
fn the_connection_that_is_idle_longest_makes_room_for_a_new_one() {
    let server = serve(&["--max-connections", "4", "--handshake-timeout", HOUR, "--read-timeout", HOUR]);
    let mut open: Vec<Stream> = (0..4).map(|_| connect(server.https, any_certificate())).collect();
    for stream in &mut open {
        assert!(is_answered(&ask(stream).unwrap()));
    }
    asked_until_answered(&server);
    assert_eq!(server.metric("sriov_webhook_connections_evicted_total"), 1.0);
    assert!(is_closed(&mut open.remove(0).sock));
    for stream in &mut open {
        assert!(is_answered(&ask(stream).unwrap()));
    }
}

#[rstest]
#[case::nothing_sent(b"")]
#[case::half_a_hello(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")]
fn who_opens_connections_and_asks_nothing_keeps_nobody_out(#[case] sent: &[u8]) {
    let server = serve(&["--max-connections", "4", "--handshake-timeout", HOUR]);
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.https).unwrap();
        stream.write_all(sent).unwrap();
        open.push(stream);
    }
    asked_until_answered(&server);
    assert!(is_closed(&mut open.remove(0)));
}

/// An HTTP/2 client that answers pings is never silent.
#[test]
fn http2_connections_without_requests_keep_nobody_out() {
    let server = serve(&["--max-connections", "4", "--handshake-timeout", HOUR, "--read-timeout", HOUR]);
    let mut config = any_certificate();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(server.https, config.clone());
        // The preface, and settings that set nothing.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        stream.flush().unwrap();
        assert!(stream.read(&mut [0; 64]).unwrap() > 0);
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        open.push(stream);
    }
    asked_until_answered(&server);
    // Nobody here answers pings, but that shows later.
    assert_eq!(server.metric("sriov_webhook_connections_evicted_total"), 1.0);
    assert!(is_closed(&mut open.remove(0).sock));
}

#[test]
fn probes_get_through_whoever_keeps_connections_to_their_listener() {
    let server = serve(&[]);
    let _open: Vec<TcpStream> = (0..256)
        .map(|_| {
            let mut stream = TcpStream::connect(server.admin).unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            assert!(stream.read(&mut [0; 512]).unwrap() > 0);
            stream
        })
        .collect();
    eventually("a probe is answered", || {
        let mut stream = TcpStream::connect(server.admin).unwrap();
        let _ = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
    });
}

#[rstest]
#[case::nothing_sent(b"")]
#[case::half_a_hello(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")]
fn half_open_handshakes_are_given_up_while_others_are_served(#[case] sent: &[u8]) {
    let server = serve(&["--handshake-timeout", "1s"]);
    let mut half_open: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(server.https).unwrap();
            stream.write_all(sent).unwrap();
            stream
        })
        .collect();
    assert!(is_answered(&ask(&mut connect(server.https, any_certificate())).unwrap()));
    assert!(half_open.iter_mut().all(is_closed));
    eventually("their places are free", || server.metric("sriov_webhook_connections_open") == 0.0);
    assert_eq!(server.metric(r#"sriov_webhook_tls_handshake_failures_total{reason="timeout"}"#), 100.0);
}
