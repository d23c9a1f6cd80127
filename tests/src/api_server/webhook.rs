//! sriov-webhook as a process.

use super::http::{self, Answer};
use super::{Output, Pod, Process, Reviewer, Sandbox, ServingCertificate, free_address, manifest};
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the webhook may take to be ready with an ordinary number of networks.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How long the webhook may take to say what it has to say.
const LOGGED_WITHIN: Duration = Duration::from_secs(60);

/// A running `sriov-webhook serve`; it is killed when this is dropped.
#[derive(Debug)]
pub struct Webhook {
    process: Process,
    address: SocketAddr,
    admin_address: SocketAddr,
}

impl Webhook {
    /// Starts a webhook that reads its networks from the sandbox's API server with the permissions
    /// of its ServiceAccount and a certificate from files, waits until it is ready and registers it.
    pub async fn start(sandbox: &Sandbox) -> Self {
        let kubeconfig = sandbox.webhook_kubeconfig().await;
        Self::start_with(sandbox, &kubeconfig, &ServingCertificate::issue())
    }

    /// The same, with further arguments.
    pub async fn start_with_arguments(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let kubeconfig = sandbox.webhook_kubeconfig().await;
        Self::start_so(sandbox, &kubeconfig, &ServingCertificate::issue(), arguments)
    }

    /// The same, with a kubeconfig and a certificate of the test's.
    pub fn start_with(sandbox: &Sandbox, kubeconfig: &Path, tls: &ServingCertificate) -> Self {
        Self::start_so(sandbox, kubeconfig, tls, &[])
    }

    fn start_so(sandbox: &Sandbox, kubeconfig: &Path, tls: &ServingCertificate, arguments: &[&str]) -> Self {
        let folder = tls.write(&sandbox.folder().join("tls"));
        let (kubeconfig, folder) = (path(kubeconfig), path(&folder));
        let common = ["--kubeconfig", &kubeconfig, "--tls-dir", &folder];
        let webhook = Self::spawn(sandbox, "webhook", &[&common, arguments].concat());
        webhook.wait_until_ready(READY_WITHIN);
        webhook.register(sandbox, &tls.ca);
        webhook
    }

    /// Starts `sriov-webhook serve` on loopback with further arguments and does not wait for it;
    /// `log` names its log.
    pub fn spawn(sandbox: &Sandbox, log: &str, arguments: &[&str]) -> Self {
        let (address, admin_address) = (free_address(), free_address());
        let (listen, admin_listen) = (address.to_string(), admin_address.to_string());
        let common = ["serve", "--listen", &listen, "--admin-listen", &admin_listen];
        let log = sandbox.folder().join(format!("{log}.log"));
        let arguments = common.iter().chain(arguments);
        Self { process: Process::start(&log, &sriov_webhook(), arguments), address, admin_address }
    }

    /// Starts it, or a program that becomes it, with these arguments, which say that it listens at these
    /// addresses.
    pub(super) fn run(
        log: &Path,
        program: Option<&Path>,
        arguments: &[String],
        addresses: (SocketAddr, SocketAddr),
    ) -> Self {
        let (address, admin_address) = addresses;
        let program = program.map_or_else(sriov_webhook, Path::to_owned);
        Self { process: Process::start(log, &program, arguments), address, admin_address }
    }

    /// Starts one that keeps its certificate by itself, in the sandbox's Secret and registration; `log` names
    /// its log and it is not waited for.
    pub fn spawn_managed(sandbox: &Sandbox, log: &str, kubeconfig: &Path, arguments: &[&str]) -> Self {
        let flags = Self::managed_flags(sandbox, kubeconfig);
        let flags: Vec<_> = flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        Self::spawn(sandbox, log, &flags)
    }

    /// The flags of managed certificates as the chart gives them, and the name by which a test reaches it.
    pub fn managed_flags(sandbox: &Sandbox, kubeconfig: &Path) -> Vec<String> {
        let namespace = sandbox.system_namespace();
        let ours = sandbox.webhook_name();
        vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--tls-secret={namespace}/{ours}-tls"),
            format!("--service={namespace}/{ours}"),
            format!("--webhook-configuration={ours}"),
            "--tls-name=127.0.0.1".to_owned(),
        ]
    }

    /// Runs a command of the program that ends by itself.
    pub fn command(arguments: &[&str]) -> Output {
        Self::command_in(arguments, &[])
    }

    /// The same, with variables of the environment.
    pub fn command_in(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(sriov_webhook());
        command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
        let output = command.output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Registers it in the API server for the pods of this sandbox. An empty `ca` leaves the
    /// bundle to the webhook.
    pub fn register(&self, sandbox: &Sandbox, ca: &str) {
        Self::register_at(sandbox, self.address, ca);
    }

    /// The same for any server that listens at `address`.
    pub fn register_at(sandbox: &Sandbox, address: SocketAddr, ca: &str) {
        let registration = registration(sandbox, address, ca);
        // No network can be called that: the webhook refuses it, whatever networks it knows.
        let probe = Pod::virt_launcher("probe").networks("-");
        let sign = format!("admission webhook \"{}\" denied", sandbox.webhook_entry());
        sandbox.register(&registration, &probe, &sign);
    }

    /// The same, without waiting for an answer: nobody need listen there yet.
    pub fn apply_registration(sandbox: &Sandbox, address: SocketAddr, ca: &str) {
        sandbox.kubectl().apply(&registration(sandbox, address, ca)).expect_success();
    }

    /// Where it answers probes and shows its metrics.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Where it takes reviews.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the API server finds it.
    pub fn url(&self) -> String {
        format!("https://{}/mutate", self.address)
    }

    /// Asks the webhook as the API server would, but without one; `ca` signed its certificate.
    pub fn reviewer(&self, ca: &str) -> Reviewer {
        Reviewer::new(&self.url(), ca)
    }

    /// Waits until a line of its log contains `sign`, and gives all such lines.
    pub fn logged(&self, sign: &str) -> Vec<String> {
        let deadline = Instant::now() + LOGGED_WITHIN;
        loop {
            let log = self.process.log();
            let lines: Vec<_> = log.lines().filter(|line| line.contains(sign)).map(str::to_owned).collect();
            if !lines.is_empty() {
                return lines;
            }
            assert!(Instant::now() < deadline, "no '{sign}' in the log:\n{log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// All that it has printed.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process, to be looked at and killed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks the plain listener; nothing while it does not listen.
    pub fn admin(&self, path: &str) -> Option<Answer> {
        http::get(self.admin_address, path)
    }

    /// The sum of all metrics whose line begins with `name`, which may end within the labels.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.admin("/metrics").unwrap().body;
        let values = metrics.lines().filter(|line| line.starts_with(name));
        values.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// How many reviews of pods it has answered so.
    pub fn reviews(&self, outcome: &str) -> f64 {
        self.metric(&format!("sriov_webhook_reviews_total{{kind=\"pod\",outcome=\"{outcome}\""))
    }

    /// Waits until the webhook says that it is ready.
    pub fn wait_until_ready(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let answer = self.admin("/readyz");
            if answer.as_ref().is_some_and(|answer| answer.code == 200) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the webhook is not ready after {limit:?}: /readyz gives {answer:?}\n{}",
                self.process.last_lines(30)
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn registration(sandbox: &Sandbox, address: SocketAddr, ca: &str) -> String {
    let url = format!("https://{address}/mutate");
    let bundle = serde_json::json!(k8s_openapi::ByteString(ca.as_bytes().to_vec()));
    let values = [("SANDBOX", sandbox.namespace()), ("URL", &url), ("CA_BUNDLE", bundle.as_str().unwrap())];
    manifest("webhook-configuration.yaml", &values)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// The folder with the programs.
pub fn programs() -> PathBuf {
    sriov_webhook().parent().unwrap().to_owned()
}

/// The program beside this one or, for test programs, in the folder above; the tier's `run` has built it.
fn sriov_webhook() -> PathBuf {
    let own = env::current_exe().unwrap();
    let programs = own.ancestors().skip(1).take(2).map(|folder| folder.join("sriov-webhook"));
    let program = { programs }.find(|program| program.exists());
    program.unwrap_or_else(|| panic!("no sriov-webhook near {}: tests/cluster/run builds it", own.display()))
}
