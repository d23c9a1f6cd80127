//! kubectl, as a person runs it.

use super::asset;
use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// kubectl with one user's kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    kubeconfig: PathBuf,
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
        Self { kubeconfig }
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
        let mut child = Command::new(asset("kubectl"))
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            // Where kubectl keeps what it learned about a server; ours never come back.
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
        let output = child.wait_with_output().unwrap();
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
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
