//! `serve` under more than it can take: what is too much is refused quickly, everybody else is served, and
//! as soon as there is room again, so is the next.
//!
//! Where a test is about something that must not wait, the time-outs are an hour: what comes at all came for
//! another reason.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

mod connections;
#[path = "../harness/mod.rs"]
mod harness;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use harness::{PATIENCE, Server, Stream, any_certificate, connect, repository, review};
use rstest::rstest;

const HOUR: &str = "1h";

fn serve(limits: &[&str]) -> Server {
    let networks = repository("examples/nads.yaml");
    Server::start(
        ["--networks".as_ref(), networks.as_os_str()].into_iter().chain(limits.iter().map(AsRef::as_ref)),
    )
}

fn body() -> String {
    let pod = serde_json::json!({
        "metadata": {
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {"k8s.v1.cni.cncf.io/networks": "storage"},
        },
        "spec": {"containers": [{"name": "compute"}]},
    });
    review(&pod).to_string()
}

fn head(length: usize) -> String {
    format!(
        "POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// The status and all that follows it, until the server closes or there is the end of an answer to a review.
fn answer(stream: &mut Stream) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            // Closing without TLS's close_notify is what a server under pressure may do.
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) => return Err(error),
        }
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse::<usize>().unwrap() {
                break;
            }
        }
    }
    Ok(String::from_utf8(answer).unwrap())
}

/// A review over a connection that stays open.
fn ask(stream: &mut Stream) -> io::Result<String> {
    let body = body();
    stream.write_all((head(body.len()) + &body).as_bytes())?;
    stream.flush()?;
    answer(stream)
}

fn is_answered(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200") && answer.contains(r#""patchType":"JSONPatch""#)
}

/// A review over a new connection, the first try that is not turned away.
fn asked_until_answered(server: &Server) {
    eventually("a review is answered", || {
        ask(&mut connect(server.https, any_certificate())).is_ok_and(|answer| is_answered(&answer))
    });
}

/// A request of which half of the body has come.
fn half_sent(server: &Server) -> (Stream, String) {
    let body = body();
    let (first, second) = body.split_at(body.len() / 2);
    let mut stream = connect(server.https, any_certificate());
    stream.write_all((head(body.len()) + first).as_bytes()).unwrap();
    stream.flush().unwrap();
    (stream, second.to_owned())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Has the server closed its end of this connection?
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(0) => true,
        // An alert, then.
        Ok(_) => is_closed(stream),
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

/// The most memory that was ever resident, in bytes.
fn most_resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_review_too_many_is_told_to_come_again_and_a_free_place_is_taken_at_once() {
    let server = serve(&["--max-in-flight", "2", "--read-timeout", HOUR]);
    let mut held: Vec<_> = (0..2).map(|_| half_sent(&server)).collect();
    eventually("both are seen", || server.metric("sriov_webhook_reviews_in_flight") == 2.0);
    let mut third = connect(server.https, any_certificate());
    for _ in 0..20 {
        let refused = ask(&mut third).unwrap();
        assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
        assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
        let sentence = "2 requests are being answered, the limit set with --max-in-flight: try again\n";
        assert!(refused.ends_with(sentence), "{refused}");
    }
    let (mut first, rest) = held.pop().unwrap();
    first.write_all(rest.as_bytes()).unwrap();
    first.flush().unwrap();
    assert!(is_answered(&answer(&mut first).unwrap()));
    // The same connection that was refused.
    eventually("the third is answered", || is_answered(&ask(&mut third).unwrap()));
    assert_eq!(server.metric(r#"sriov_webhook_requests_refused_total{reason="overload"}"#), 20.0);
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let server = serve(&["--max-in-flight", "2", "--read-timeout", HOUR]);
    for _ in 0..20 {
        let held = [half_sent(&server), half_sent(&server)];
        eventually("both are seen", || server.metric("sriov_webhook_reviews_in_flight") == 2.0);
        drop(held);
        asked_until_answered(&server);
    }
}

#[test]
fn large_bodies_that_do_not_come_keep_nobody_out() {
    let server = serve(&["--read-timeout", HOUR]);
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = connect(server.https, any_certificate());
        stream.write_all((head(8 * 1024 * 1024) + "{").as_bytes()).unwrap();
        stream.flush().unwrap();
        held.push(stream);
    }
    eventually("all are seen", || server.metric("sriov_webhook_reviews_in_flight") == 64.0);
    assert!(is_answered(&ask(&mut connect(server.https, any_certificate())).unwrap()));
}

#[test]
fn large_bodies_that_come_share_a_bounded_memory_and_small_ones_get_through() {
    let server = serve(&["--read-timeout", HOUR]);
    let before = most_resident(&server);
    let mut held = Vec::new();
    let part = vec![b' '; 7 * 1024 * 1024];
    // 140 MiB, of which 64 MiB have room.
    thread::scope(|scope| {
        let senders: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = connect(server.https, any_certificate());
                    stream.write_all(head(8 * 1024 * 1024).as_bytes()).unwrap();
                    // Who is refused need not be read to the end.
                    let _ = stream.write_all(&part).and_then(|()| stream.flush());
                    stream
                })
            })
            .collect();
        held.extend(senders.into_iter().map(|sender| sender.join().unwrap()));
    });
    let refused = r#"sriov_webhook_requests_refused_total{reason="overload"} 1"#;
    eventually("what has no room is refused", || server.get("/metrics").body.contains(refused));
    assert!(is_answered(&ask(&mut connect(server.https, any_certificate())).unwrap()));
    let grown = most_resident(&server) - before;
    assert!(grown < 160 * 1024 * 1024, "{grown} bytes more");
    drop(held);
    asked_until_answered(&server);
}

#[test]
fn a_body_that_never_ends_is_refused_at_the_limit() {
    let server = serve(&["--max-body", "64Ki"]);
    let before = most_resident(&server);
    let endless = || {
        let mut stream = connect(server.https, any_certificate());
        let head = head(0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
        let mut sent = 0_usize;
        while stream.write_all(chunk.as_bytes()).and_then(|()| stream.flush()).is_ok() {
            sent += chunk.len();
            assert!(sent < 1 << 30, "it reads forever");
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(endless);
        }
    });
    assert_eq!(server.metric(r#"sriov_webhook_requests_refused_total{reason="body_too_large"}"#), 8.0);
    let grown = most_resident(&server) - before;
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes more");
    asked_until_answered(&server);
}

#[test]
fn slow_clients_are_given_up_while_others_are_served() {
    let server = serve(&["--read-timeout", "1s"]);
    // A head that comes by the byte, a head that stops, a body that stops.
    let dripping = thread::spawn({
        let address = server.https;
        move || {
            let mut stream = connect(address, any_certificate());
            let start = Instant::now();
            for byte in head(2).bytes().cycle() {
                if stream.write_all(&[byte.to_ascii_lowercase()]).and_then(|()| stream.flush()).is_err() {
                    return;
                }
                assert!(start.elapsed() < PATIENCE, "it is waited for");
                thread::sleep(Duration::from_millis(10));
            }
        }
    });
    let mut head_stops = connect(server.https, any_certificate());
    head_stops.write_all(b"POST /mutate HTTP/1.1\r\nHost: local").unwrap();
    head_stops.flush().unwrap();
    let (mut body_stops, _) = half_sent(&server);

    let mut other = connect(server.https, any_certificate());
    for _ in 0..20 {
        assert!(is_answered(&ask(&mut other).unwrap()));
    }
    let told = answer(&mut body_stops).unwrap();
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(told.ends_with("the body did not come within 1 s\n"), "{told}");
    assert_eq!(answer(&mut head_stops).unwrap(), "");
    dripping.join().unwrap();
    assert!(is_answered(&ask(&mut other).unwrap()), "a connection that idles is left alone");
}

#[rstest]
#[case::long_line(format!("X: {}\r\n", "x".repeat(1 << 20)))]
#[case::many_lines("X: x\r\n".repeat(1 << 17))]
fn huge_heads_are_refused(#[case] lines: String) {
    let server = serve(&["--read-timeout", HOUR]);
    let before = most_resident(&server);
    for _ in 0..10 {
        let mut stream = connect(server.https, any_certificate());
        let head = format!("POST /mutate HTTP/1.1\r\nHost: localhost\r\n{lines}");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
        // The rest of the head is not read, so the system may cut the connection before we have read.
        if let Ok(answer) = answer(&mut stream) {
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    }
    let grown = most_resident(&server) - before;
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
    asked_until_answered(&server);
}

#[test]
fn after_a_storm_everything_is_as_before() {
    let server = serve(&["--max-connections", "8", "--max-in-flight", "2"]);
    let outcomes: Vec<Option<String>> = thread::scope(|scope| {
        let clients: Vec<_> = (0..32)
            .map(|_| {
                scope.spawn(|| {
                    (0..20)
                        .map(|_| ask(&mut connect(server.https, any_certificate())).ok())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let answers =
        |status: &str| outcomes.iter().flatten().filter(|answer| answer.starts_with(status)).count();
    let (answered, refused) = (answers("HTTP/1.1 200"), answers("HTTP/1.1 429"));
    let turned_away = outcomes.iter().filter(|answer| answer.as_ref().is_none_or(String::is_empty)).count();
    assert_eq!(answered + refused + turned_away, 640);
    assert!(answered > 0 && turned_away > 0, "{answered} answered, {turned_away} turned away: no storm");
    eventually("all connections are gone", || server.metric("sriov_webhook_connections_open") == 0.0);
    assert_eq!(server.metric("sriov_webhook_reviews_in_flight"), 0.0);
    assert!(is_answered(&ask(&mut connect(server.https, any_certificate())).unwrap()));
}
