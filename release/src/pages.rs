//! Manual pages and shell completions, from the definitions that the programs themselves parse with.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::{CommandFactory as _, ValueEnum};
use clap_complete::Shell;

/// A program that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// The admission webhook and its tools.
    SriovWebhook,
    /// The helper in virt-launcher's pods.
    LauncherHook,
    /// The webhook's tools as a plugin of kubectl.
    KubectlSriov,
}

impl Program {
    fn definition(self) -> clap::Command {
        match self {
            Self::SriovWebhook => webhook::commands::definition(),
            Self::LauncherHook => launcher_hook::cli::Cli::command(),
            Self::KubectlSriov => webhook::commands::plugin::definition(),
        }
    }
}

/// Writes `man/*.1` and `completions/*` below `output`.
pub(crate) fn write(program: Program, output: &Path) -> anyhow::Result<()> {
    let (man, completions) = (output.join("man"), output.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let definition = program.definition();
    clap_mangen::generate_to(definition.clone(), &man)
        .with_context(|| format!("cannot write manual pages to {}", man.display()))?;
    let name = definition.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut definition.clone(), &name, &completions)
            .with_context(|| format!("cannot write completions to {}", completions.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::webhook(Program::SriovWebhook, "sriov-webhook")]
    #[case::helper(Program::LauncherHook, "launcher-hook")]
    #[case::plugin(Program::KubectlSriov, "kubectl-sriov")]
    fn each_command_has_a_page_and_each_shell_knows_it(#[case] program: Program, #[case] name: &str) {
        let folder = tempfile::tempdir().unwrap();
        write(program, folder.path()).unwrap();
        let mut commands = 0;
        for command in program.definition().get_subcommands().filter(|command| !command.is_hide_set()) {
            commands += 1;
            let page = folder.path().join(format!("man/{name}-{}.1", command.get_name()));
            let page =
                fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            // Each option of the command, as the page escapes it.
            for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
                if let Some(long) = option.get_long() {
                    let shown = format!("\\-\\-{}", long.replace('-', "\\-"));
                    assert!(page.contains(&shown), "{name} {}: no {shown}", command.get_name());
                }
            }
            for file in [format!("{name}.bash"), format!("{name}.fish"), format!("_{name}")] {
                let text = fs::read_to_string(folder.path().join("completions").join(&file)).unwrap();
                assert!(text.contains(command.get_name()), "{file}: no {}", command.get_name());
            }
        }
        assert!(commands >= 3, "{name} has {commands} commands");
        assert!(folder.path().join(format!("man/{name}.1")).is_file());
    }
}
