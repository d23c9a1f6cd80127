//! Completion by way of kubectl: it runs `kubectl_complete-sriov` with the words typed so far, the last of which is being
//! typed, and reads candidates, one on a line with its description behind a tab, and at the end a colon and a number.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use kube::config::Kubeconfig;

/// The bits of the number at the end, as the library cobra defines them for shells.
const NO_SPACE: u8 = 2;
const NO_FILES: u8 = 4;

/// Prints what may stand for the last of `words`.
pub(super) fn print(command: clap::Command, words: &[OsString]) -> ExitCode {
    match candidates(command, words).and_then(|found| write(&found, &mut io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot complete: {error}");
            ExitCode::FAILURE
        }
    }
}

fn candidates(command: clap::Command, words: &[OsString]) -> io::Result<Vec<CompletionCandidate>> {
    let mut command = with_contexts(command);
    let program = OsString::from(command.get_name());
    let mut arguments = vec![program];
    arguments.extend(words.iter().cloned());
    if words.is_empty() {
        arguments.push(OsString::new());
    }
    let last = arguments.len() - 1;
    complete(&mut command, arguments, last, std::env::current_dir().ok().as_deref())
}

/// The command, and all below it, with the contexts of the kubeconfig that counts.
fn with_contexts(command: clap::Command) -> clap::Command {
    let has_one = command.get_arguments().any(|argument| argument.get_id() == "context");
    let command = if has_one {
        command.mut_arg("context", |argument| argument.add(ArgValueCandidates::new(contexts)))
    } else {
        command
    };
    command.mut_subcommands(with_contexts)
}

/// Without a kubeconfig that can be read there is nothing to suggest.
fn contexts() -> Vec<CompletionCandidate> {
    let kubeconfig = Kubeconfig::read().unwrap_or_default();
    kubeconfig.contexts.into_iter().map(|named| CompletionCandidate::new(named.name)).collect()
}

fn write(candidates: &[CompletionCandidate], to: &mut impl Write) -> io::Result<()> {
    let mut bits = 0;
    for candidate in candidates.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        // A folder goes on, and so does a flag whose value follows.
        if value.ends_with(['/', '=']) {
            bits |= NO_SPACE;
        }
        bits |= NO_FILES;
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        match help.lines().next() {
            Some(line) => writeln!(to, "{value}\t{line}")?,
            None => writeln!(to, "{value}")?,
        }
    }
    writeln!(to, ":{bits}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn said(words: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let mut out = Vec::new();
        write(&candidates(super::super::definition(), &words).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn commands_have_descriptions() {
        let said = said(&[""]);
        for command in ["review\tShow what the webhook would do to pods", "doctor\t", "map\t", "certs\t"] {
            assert!(said.lines().any(|line| line.starts_with(command)), "{said}");
        }
        assert!(!said.contains("\nserve\t") && said.ends_with("\n:4\n"), "{said}");
    }

    #[rstest]
    #[case::a_command(&["do"], "doctor\t")]
    #[case::a_flag(&["doctor", "--web"], "--webhook-configuration\t")]
    #[case::a_value(&["doctor", "--scope", "a"], "all-pods\t")]
    #[case::a_value_of_a_short_flag(&["doctor", "-o", "j"], "json\t")]
    #[case::below_a_command(&["certs", "roll-ca", "--wai"], "--wait\t")]
    fn one_candidate(#[case] words: &[&str], #[case] start: &str) {
        let said = said(words);
        assert!(said.starts_with(start) && said.ends_with("\n:4\n") && said.lines().count() == 2, "{said}");
    }

    #[test]
    fn nothing_to_suggest_leaves_files_to_the_shell() {
        assert_eq!(said(&["map", "--namespace", "data"]), ":0\n");
    }
}
