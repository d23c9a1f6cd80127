//! An OpenID Connect issuer that renews one token, over HTTPS.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use certs::ServingCertificate;
use certs::issue::SelfSigned;
use rustls::{ServerConnection, StreamOwned};
use serde_json::json;

pub(crate) struct Issuer {
    pub(crate) url: String,
    /// Method, path and body of each request.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

impl Issuer {
    /// One that answers with this id-token, or refuses everything if it is empty.
    pub(crate) fn start(token: &str) -> Self {
        let now = SystemTime::now();
        let issued = SelfSigned::issue(&["127.0.0.1".to_owned()], Duration::from_secs(3600), now).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issued.ca_pem).unwrap();
        let serving = Arc::new(ServingCertificate::new());
        serving.offer(&issued.pair, now).unwrap();
        let tls = Arc::new(certs::tls::server_config(serving, None).unwrap());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, own, token) = (Arc::clone(&asked), url.clone(), token.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
                let stream = StreamOwned::new(connection, stream.unwrap());
                answer(BufReader::new(stream), &log, &own, &token);
            }
        });
        Self { url, asked, folder }
    }

    /// The file with the certificate that clients have to trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

fn answer(
    mut stream: BufReader<StreamOwned<ServerConnection, std::net::TcpStream>>,
    log: &Mutex<Vec<String>>,
    own: &str,
    token: &str,
) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or_default() == 0 {
            return;
        }
    }
    let length = head
        .to_lowercase()
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let request = head.split(" HTTP/").next().unwrap();
    log.lock().unwrap().push(format!("{request} {}", String::from_utf8_lossy(&body)).trim_end().to_owned());
    let (code, body) = if token.is_empty() {
        (400, json!({"error": "invalid_grant"}))
    } else if request.starts_with("GET ") {
        (200, json!({"issuer": own, "token_endpoint": format!("{own}/token")}))
    } else {
        (200, json!({"id_token": token, "token_type": "Bearer", "refresh_token": "another"}))
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {code} .\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let stream = stream.get_mut();
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
}
