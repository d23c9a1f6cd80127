//! `kubectl sriov`: the commands for people as a plugin of kubectl, which finds it by its file's name.

mod completion;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use super::{TYPED, Tool};

/// What a person types.
const NAME: &str = "kubectl sriov";

/// The command by which a shell's completion asks, by way of kubectl.
const COMPLETE: &str = "__complete";

/// Looks at the SR-IOV networks of KubeVirt's virtual machines, and at the webhook that requests their devices
///
/// --context, --namespace, --all-namespaces, --as and --kubeconfig mean what they mean to kubectl, behind the command.
#[derive(Debug, Parser)]
#[command(name = "kubectl-sriov", version, max_term_width = 110)]
#[command(after_long_help = "\
Examples:
  sriov-webhook doctor
  sriov-webhook map postgres --namespace databases
  sriov-webhook review --from-cluster --all-namespaces
  sriov-webhook certs inspect --tls-secret kubevirt-sriov/kubevirt-sriov-tls

Exit status: as each command's help says.")]
struct CommandLine {
    #[command(subcommand)]
    command: Tool,
}

/// Returns the definition of the plugin's command line, for manual pages and completions.
#[must_use]
pub fn definition() -> clap::Command {
    // A manual page is looked for by the name of the file.
    named(CommandLine::command())
}

/// Runs what the command line asks for.
#[must_use]
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let [_, command, words @ ..] = arguments.as_slice()
        && command == COMPLETE
    {
        return completion::print(definition().bin_name(NAME), words);
    }
    // Nothing else sets it.
    let _ = TYPED.set(NAME);
    let matches = definition().bin_name(NAME).display_name(NAME).get_matches_from(arguments);
    match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line.command.run(),
        Err(error) => error.exit(),
    }
}

/// The command, and all below it, with examples as people type them.
fn named(command: clap::Command) -> clap::Command {
    let rename = |text: &StyledStr| text.to_string().replace("sriov-webhook ", &format!("{NAME} "));
    let help = command.get_after_long_help().map(rename);
    let command = match help {
        Some(help) => command.after_long_help(help),
        None => command,
    };
    command.mut_subcommands(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of help that stand below a command.
    fn helps(command: &clap::Command) -> Vec<String> {
        let mut command = command.clone();
        let mut texts = vec![command.render_long_help().to_string()];
        texts.extend(command.get_subcommands().flat_map(helps));
        texts
    }

    #[test]
    fn the_help_names_the_plugin_and_no_server() {
        let mut definition = definition().bin_name(NAME).display_name(NAME);
        definition.build();
        definition.clone().debug_assert();
        let texts = helps(&definition);
        assert!(texts.len() > 6, "{}", texts.len());
        for text in texts {
            assert!(!text.contains("sriov-webhook doctor") && !text.contains("sriov-webhook map"), "{text}");
            assert!(
                !text.contains("sriov-webhook review") && !text.contains("sriov-webhook certs"),
                "{text}"
            );
        }
        let doctor = definition.find_subcommand_mut("doctor").unwrap().render_long_help().to_string();
        assert!(doctor.contains("Usage: kubectl sriov doctor [OPTIONS]"), "{doctor}");
        assert!(doctor.contains("\n  kubectl sriov doctor\n"), "{doctor}");
        assert!(definition.find_subcommand("serve").is_none());
    }
}
