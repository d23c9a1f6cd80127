//! Who runs on which processor. A client on the servers' own would take turns with them by the scheduler's slices
//! of some milliseconds, which are longer than a review takes.
//!
//! All by util-linux' taskset: it knows which processors are there and allowed.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Output, id};

/// Processors for the servers, as `taskset` lists them; none where there is only one for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processors(Option<String>);

impl Processors {
    /// Takes half of the processors for this process and the threads it is going to start, and leaves the others to
    /// the servers. Call it before there are threads.
    pub fn divide() -> Self {
        let own = id().to_string();
        let output = taskset(["--cpu-list", "--pid", &own]);
        // "pid 7's current affinity list: 0-3,8"
        let text = String::from_utf8(output.stdout).unwrap();
        let allowed = text.rsplit(' ').next().unwrap().trim();
        let Some((client, servers)) = divided(allowed) else {
            return Self(None);
        };
        let output = taskset(["--all-tasks", "--cpu-list", "--pid", &client, &own]);
        assert!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
        Self(Some(servers))
    }

    /// The program and arguments that run `program` on the servers' processors.
    pub(super) fn start(&self, program: &Path) -> (OsString, Vec<OsString>) {
        let Some(others) = &self.0 else {
            return (program.into(), Vec::new());
        };
        ("taskset".into(), vec!["--cpu-list".into(), others.into(), program.into()])
    }

    /// Puts a process that runs already on the servers' processors.
    pub(super) fn put(&self, process: u32) {
        let Some(servers) = &self.0 else {
            return;
        };
        // A thread may end, or start another, while it is about to be put there.
        let tries =
            (0..10).map(|_| taskset(["--all-tasks", "--cpu-list", "--pid", servers, &process.to_string()]));
        let succeeded = tries.filter(|output| output.status.success()).take(2).count();
        assert_eq!(
            succeeded, 2,
            "process {process} cannot be put on processors {servers}: start it with `taskset --cpu-list {servers}`, \
             and this as its user"
        );
    }

    /// A sentence about it.
    pub fn describe(&self) -> String {
        match &self.0 {
            Some(servers) => format!("servers on processors {servers}, the client on others"),
            None => {
                "servers and client share the only processor: times say more about it than about them".into()
            }
        }
    }
}

fn taskset<const N: usize>(arguments: [impl AsRef<OsStr>; N]) -> Output {
    let output = Command::new("taskset").args(arguments).output();
    output.unwrap_or_else(|error| panic!("taskset (Debian: util-linux): {error}"))
}

/// One half of a list such as `0-3,8`, and the other, which is the larger one if any is.
fn divided(list: &str) -> Option<(String, String)> {
    let ranges = list.split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse::<u32>().unwrap()
    });
    let numbers: Vec<String> = ranges.flatten().map(|number| number.to_string()).collect();
    let (client, servers) = numbers.split_at(numbers.len() / 2);
    (!client.is_empty()).then(|| (client.join(","), servers.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::two("0-1", Some(("0", "1")))]
    #[case::ranges("2-4,8", Some(("2,3", "4,8")))]
    #[case::odd("5,7,9", Some(("5", "7,9")))]
    #[case::one("3", None)]
    fn halves(#[case] list: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(divided(list), expected.map(|(client, servers)| (client.to_owned(), servers.to_owned())));
    }
}
