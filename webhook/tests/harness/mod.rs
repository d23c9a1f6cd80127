//! `sriov-webhook serve` as a process, and a client that speaks HTTPS with it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use admission::review_of;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::Value;

/// Longer than anything here takes on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program, with the arguments still to come.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What the API server posts about a pod in namespace `default`.
pub(crate) fn review(pod: &Value) -> Value {
    let mut review = review_of(pod);
    review["request"]["uid"] = "705ab4f5-6393-11e8-b7cc-42010a800002".into();
    review["request"]["namespace"] = "default".into();
    review
}

/// `serve` on free ports of loopback, killed at the end whatever happens.
pub(crate) struct Server {
    process: Child,
    /// Where reviews go.
    pub(crate) https: SocketAddr,
    /// Where probes go.
    pub(crate) admin: SocketAddr,
    log: Arc<Mutex<Vec<Value>>>,
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 200 and its kin.
    pub(crate) status: u16,
    /// The lines of the head behind the first, in lower case.
    pub(crate) head: String,
    /// The rest.
    pub(crate) body: String,
}

impl Server {
    /// Starts it with these arguments beside the addresses, and waits until it listens.
    pub(crate) fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut process = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .args(arguments)
            .env_remove("KUBECONFIG")
            .env_remove("LOG_LEVEL")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let listening = lines.find_map(|line| {
            let line = line.unwrap();
            let line: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            log.lock().unwrap().push(line.clone());
            (line["message"] == "listening").then_some(line)
        });
        let listening =
            listening.unwrap_or_else(|| panic!("it stopped before it listened: {:?}", log.lock().unwrap()));
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock().unwrap().push(line);
            }
        });
        let address = |key: &str| listening[key].as_str().unwrap().parse().unwrap();
        Self { https: address("https"), admin: address("admin"), process, log }
    }

    /// On the example networks, with a certificate of its own.
    pub(crate) fn on_examples() -> Self {
        Self::start(["--networks".into(), repository("examples/nads.yaml")])
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it printed for people; waits until there are so many lines.
    pub(crate) fn printed(&mut self, lines: usize) -> String {
        let printed = BufReader::new(self.process.stdout.take().unwrap()).lines();
        printed.take(lines).map(|line| line.unwrap() + "\n").collect()
    }

    /// The log lines so far; a line that is not JSON is a string.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line.
    pub(crate) fn logged(&self, what: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            if let Some(line) = self.log().into_iter().find(|line| what(line)) {
                return line;
            }
            assert!(start.elapsed() < PATIENCE, "no such line in {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// GET from the admin listener.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_as(path, "*/*")
    }

    /// The same for a client that takes these kinds of content.
    pub(crate) fn get_as(&self, path: &str, accept: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        let head = format!("Host: localhost\r\nAccept: {accept}\r\nConnection: close");
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Answer::parse(&answer)
    }

    /// A metric without labels, or with them as they are printed.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// One request over a connection of its own, with a client that takes any certificate.
    pub(crate) fn request(&self, request: &str) -> Answer {
        let mut stream = connect(self.https, any_certificate());
        // Where the answer comes before the end of the request, the rest cannot be written.
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer::parse(&String::from_utf8(answer).unwrap())
    }

    /// POST of JSON to `/mutate`.
    pub(crate) fn post(&self, body: &str) -> Answer {
        self.post_as("/mutate", "application/json", body)
    }

    /// POST.
    pub(crate) fn post_as(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let length = body.len();
        self.request(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let kill =
            Command::new("sh").args(["-c", &format!("kill -s {name} {}", self.id())]).status().unwrap();
        assert!(kill.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {:#?}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let (first, head) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A TLS connection.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects; the handshake comes with the first byte.
pub(crate) fn connect(address: SocketAddr, config: ClientConfig) -> Stream {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(connection, stream)
}

/// A client that looks at no certificate.
pub(crate) fn any_certificate() -> ClientConfig {
    ClientConfig::builder_with_provider(certs::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth()
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        certs::tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
