//! kubectl, as a person runs it.

use super::asset;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long it may take: more than any `--timeout` that it is given. Without one, a kubelet that says nothing lets
/// `exec` and `logs` wait forever.
const WITHIN: Duration = Duration::from_secs(400);

/// How often it is asked whether a run is in vain.
const INTERVAL: Duration = Duration::from_millis(500);

/// kubectl with one user's kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    in_vain: fn() -> bool,
}

/// What a run of kubectl, or of one of our programs, said.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code, where it was not killed.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about, and the API server's warnings.
    pub stderr: String,
}

impl Kubectl {
    /// kubectl with this kubeconfig.
    pub fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, in_vain: || false }
    }

    /// The same, killed as soon as `in_vain` says that there is nothing to wait for.
    #[must_use]
    pub fn unless(self, in_vain: fn() -> bool) -> Self {
        Self { in_vain, ..self }
    }

    /// Runs kubectl with these arguments.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.run_with_input(arguments, "")
    }

    /// `kubectl apply` of a manifest.
    pub fn apply(&self, manifest: &str) -> Output {
        self.run_with_input(["apply", "-f", "-"], manifest)
    }

    /// `kubectl create` of a manifest, for objects that have only a `generateName`.
    pub fn create(&self, manifest: &str) -> Output {
        self.run_with_input(["create", "-f", "-"], manifest)
    }

    /// What `kubectl create` of a manifest would do; the object as the server would store it.
    pub fn dry_run(&self, manifest: &str) -> Output {
        let arguments = ["create", "--dry-run=server", "--output", "json", "-f", "-"];
        self.run_with_input(arguments, manifest)
    }

    /// `kubectl delete` of what a manifest names, without waiting for pods to end.
    pub fn delete(&self, manifest: &str) -> Output {
        self.run_with_input(["delete", "--now", "-f", "-"], manifest)
    }

    /// What `kubectl apply` of a manifest would do, by the server's own judgement.
    pub fn apply_dry_run(&self, manifest: &str) -> Output {
        self.run_with_input(["apply", "--dry-run=server", "-f", "-"], manifest)
    }

    /// Runs kubectl with these arguments and something on its standard input.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Output {
        let mut command = Command::new(asset("kubectl"));
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        self.finish(command, input)
    }

    /// Runs kubectl with plugins of this folder: `kubectl sriov …` and its completion.
    pub fn run_with_plugins(&self, plugins: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(asset("kubectl"));
        let own = std::env::var_os("PATH").unwrap_or_default();
        let paths = [plugins.to_owned()].into_iter().chain(std::env::split_paths(&own));
        // A plugin gets no flag that stands before its name.
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", std::env::join_paths(paths).unwrap());
        self.finish(command, "")
    }

    fn finish(&self, mut command: Command, input: &str) -> Output {
        // Where kubectl keeps what it learned about a server; ours never come back.
        let mut child = command
            .env("KUBECACHEDIR", self.kubeconfig.with_extension("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // kubectl may end without reading it all.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        output_of(child, WITHIN, self.in_vain)
    }
}

/// Waits until a program ends, and kills it where that is in vain or takes longer than `within`.
fn output_of(mut child: Child, within: Duration, in_vain: fn() -> bool) -> Output {
    let deadline = Instant::now() + within;
    let (running, ended) = channel();
    let stdout = read(child.stdout.take().unwrap(), running.clone());
    let stderr = read(child.stderr.take().unwrap(), running);
    let mut killed = "";
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if in_vain() || Instant::now() > deadline {
            killed = "killed: it waited in vain\n";
            child.kill().unwrap();
        }
    }
    let stderr = stderr.join().unwrap() + killed;
    Output { code: child.wait().unwrap().code(), stdout: stdout.join().unwrap(), stderr }
}

/// Reads all that a program prints; `running` is let go of at its end.
fn read(mut from: impl Read + Send + 'static, running: Sender<()>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        drop(running);
        // It may have been killed in the middle of a character.
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Output {
    /// Whether it ended well.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// What it printed; a failed run fails the test with what it said.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert!(self.success(), "ended with {:?}: {}", self.code, self.stderr);
        self.stdout
    }

    /// What it complained about; a successful run fails the test.
    #[track_caller]
    pub fn expect_failure(self) -> String {
        assert!(!self.success(), "succeeded: {}", self.stdout);
        self.stderr
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const LONG: Duration = Duration::from_secs(10_000);

    #[rstest]
    #[case::by_itself("echo said; echo complained >&2; exit 3", LONG, || false, Some(3), "complained\n")]
    #[case::in_vain("echo said; exec sleep 10000", LONG, || true, None, "killed: it waited in vain\n")]
    #[case::too_late("echo said; exec sleep 10000", Duration::ZERO, || false, None, "killed: it waited in vain\n")]
    fn a_program_ends(
        #[case] script: &str,
        #[case] within: Duration,
        #[case] in_vain: fn() -> bool,
        #[case] code: Option<i32>,
        #[case] stderr: &str,
    ) {
        let mut command = Command::new("sh");
        let child =
            command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = output_of(child, within, in_vain);
        assert_eq!((output.code, output.stderr.as_str()), (code, stderr));
    }
}
