//! Plain HTTP, as much of it as a test needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A status code and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 and its kin.
    pub code: u16,
    /// Whatever came.
    pub body: String,
}

/// GET; nothing while nobody answers.
pub fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    exchange(address, &format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n"))
}

/// POST of JSON; nothing while nobody answers.
pub fn post(address: SocketAddr, path: &str, body: &str) -> Option<Answer> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    exchange(address, &format!("{head}{body}"))
}

// HTTP/1.0: the answer ends with the connection and is never chunked.
fn exchange(address: SocketAddr, request: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    let body = body.to_owned();
    Some(Answer { code, body })
}
