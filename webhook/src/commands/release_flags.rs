//! How the release decides about pods: the flags of its Deployment, for commands that a person runs.

use std::collections::BTreeMap;
use std::ffi::OsString;

use admission::Options;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::AdmissionOptions;
use crate::doctor::facts::{Decisions, Facts, Source};

/// The flags that decide about pods, and which of them a person gave. What is not given is the release's.
#[derive(Debug, Clone)]
pub(super) struct DecisionFlags {
    own: AdmissionOptions,
    given: Given,
    ignores_release: bool,
}

/// The flags that were given, as they are written: `--scope=all-pods`, by their names.
type Given = BTreeMap<String, Vec<String>>;

/// Whether to look for the release's flags at all.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decisions")]
struct ReleaseOptions {
    /// Decide about pods by the flags of this command line alone, not by those of the release
    #[arg(long)]
    no_release_flags: bool,
}

impl Args for DecisionFlags {
    fn augment_args(command: Command) -> Command {
        ReleaseOptions::augment_args(AdmissionOptions::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        ReleaseOptions::augment_args_for_update(AdmissionOptions::augment_args_for_update(command))
    }
}

impl FromArgMatches for DecisionFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            own: AdmissionOptions::from_arg_matches(matches)?,
            given: given(matches),
            ignores_release: ReleaseOptions::from_arg_matches(matches)?.no_release_flags,
        })
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches(matches)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl DecisionFlags {
    /// Flags that cannot work together, in a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        self.own.check()
    }

    /// Whether the flags of the release count.
    pub(super) fn wants_release(&self) -> bool {
        !self.ignores_release
    }

    /// The options of this command line alone.
    pub(super) fn alone(&self) -> Options {
        self.own.clone().into()
    }

    /// How pods are decided, with what was read of the release.
    pub(super) fn with_release(&self, facts: &Facts) -> Decisions {
        let alone = |source| Decisions { options: self.alone(), source };
        if self.ignores_release {
            return alone(Source::CommandLine);
        }
        let release = match (&facts.entries, &facts.release) {
            (Some(Err(failure)), _) => return alone(Source::Unread { reason: failure.sentence() }),
            (_, Some(release)) => release,
            // Nothing is registered, or nobody looked.
            (_, None) => return alone(Source::CommandLine),
        };
        let unread = |reason: String| alone(Source::Unread { reason });
        if let Err(failure) = &release.deployments {
            return unread(failure.sentence());
        }
        let Some(deployment) = release.deployment() else {
            return unread(format!(
                "Service {}/{} does not lead to one Deployment",
                release.namespace, release.service
            ));
        };
        let name = format!("{}/{}", release.namespace, deployment.name);
        match self.merged(&deployment.arguments) {
            Ok((options, flags)) => {
                Decisions { options, source: Source::Release { deployment: name, flags } }
            }
            Err(problem) => unread(format!("Deployment {name}: {problem}")),
        }
    }

    /// The options of a container with these arguments, but for what is given here; and those that are not the defaults.
    fn merged(&self, arguments: &[String]) -> Result<(Options, Vec<String>), String> {
        let mut flags = given_to_serve(arguments)?;
        flags.extend(self.given.clone());
        let arguments: Vec<&String> = flags.values().flatten().collect();
        let command = AdmissionOptions::augment_args(Command::new("serve").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).map_err(|error| first_line(&error))?;
        let options = AdmissionOptions::from_arg_matches(&matches).map_err(|error| first_line(&error))?;
        options.check()?;
        let defaults = defaults();
        flags.retain(|name, written| defaults.get(name) != Some(written));
        Ok((options.into(), flags.into_values().flatten().collect()))
    }
}

/// The flags about decisions among the arguments of `serve`.
fn given_to_serve(arguments: &[String]) -> Result<Given, String> {
    let (first, rest) = arguments.split_first().ok_or("it has no arguments")?;
    if first != "serve" {
        return Err("its first argument is not serve".to_owned());
    }
    // A program without the server does not know its other flags, and leaves them aside.
    #[cfg(feature = "server")]
    super::definition()
        .try_get_matches_from(std::iter::once("sriov-webhook").chain(arguments.iter().map(String::as_str)))
        .map_err(|error| first_line(&error))?;
    let command = AdmissionOptions::augment_args(Command::new(""));
    let mut flags = Given::new();
    let mut rest = rest.iter();
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.strip_prefix("--") else { continue };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let Some(known) = command.get_arguments().find(|known| known.get_long() == Some(name)) else {
            continue;
        };
        let written = match (known.get_action().takes_values(), value) {
            (false, _) | (true, Some(_)) => argument.clone(),
            (true, None) => format!("--{name}={}", rest.next().map_or("", String::as_str)),
        };
        flags.entry(name.to_owned()).or_default().push(written);
    }
    Ok(flags)
}

/// What clap says, without usage and hints.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The flags about decisions that a command line names.
fn given(matches: &ArgMatches) -> Given {
    let written = |argument: &clap::Arg| {
        let id = argument.get_id().as_str();
        let name = argument.get_long()?;
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            return None;
        }
        Some((name.to_owned(), write(argument, matches.get_raw(id)?.map(OsString::from))))
    };
    AdmissionOptions::augment_args(Command::new("")).get_arguments().filter_map(written).collect()
}

/// The flags about decisions as they are written when each has its default.
fn defaults() -> Given {
    let written = |argument: &clap::Arg| {
        let values = argument.get_default_values();
        let name =
            argument.get_long().filter(|_| argument.get_action().takes_values() && !values.is_empty())?;
        Some((name.to_owned(), write(argument, values.iter().map(OsString::from))))
    };
    AdmissionOptions::augment_args(Command::new("")).get_arguments().filter_map(written).collect()
}

fn write(argument: &clap::Arg, values: impl Iterator<Item = OsString>) -> Vec<String> {
    let name = argument.get_long().unwrap_or_default();
    if argument.get_action().takes_values() {
        values.map(|value| format!("--{name}={}", value.to_string_lossy())).collect()
    } else {
        vec![format!("--{name}")]
    }
}

#[cfg(test)]
mod tests {
    use admission::{Mode, Scope};
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        flags: DecisionFlags,
    }

    fn merged(own: &[&str], release: &[&str]) -> Result<(Options, Vec<String>), String> {
        let program = Program::try_parse_from([&["program"], own].concat()).unwrap();
        let release: Vec<String> = ["serve"].iter().chain(release).map(ToString::to_string).collect();
        program.flags.merged(&release)
    }

    #[rstest]
    #[case::defaults(&[], &["--scope=virt-launcher", "--listen=0.0.0.0:8443"], "")]
    #[case::of_the_release(&[], &["--scope=all-pods", "--podnetinfo"], "--podnetinfo --scope=all-pods")]
    #[case::given_here(&["--scope", "virt-launcher"], &["--scope=all-pods"], "")]
    #[case::one_of_two(
        &["--multus-namespace", "multus"], &["--namespace-isolation", "--multus-namespace=kube-system"],
        "--multus-namespace=multus --namespace-isolation"
    )]
    #[case::a_list_is_replaced(
        &["--resource-annotation", "a.b/c"], &["--resource-annotation=d.e/f", "--resource-annotation=g.h/i"],
        "--resource-annotation=a.b/c"
    )]
    #[case::a_list(
        &[], &["--resource-annotation=d.e/f", "--resource-annotation", "g.h/i"],
        "--resource-annotation=d.e/f --resource-annotation=g.h/i"
    )]
    #[case::spoken_in_two_words(&[], &["--on-unresolved", "warn"], "--on-unresolved=warn")]
    fn flags(#[case] own: &[&str], #[case] release: &[&str], #[case] expected: &str) {
        assert_eq!(merged(own, release).unwrap().1.join(" "), expected);
    }

    #[test]
    fn options_are_those_of_the_flags() {
        let helper = ["--launcher-hook=sidecar", "--launcher-hook-image=example.com/helper:1"];
        let release = [&["--scope=all-pods", "--global-namespace=shared"], &helper[..]].concat();
        let (options, _) = merged(&["--launcher-hook", "compute"], &release).unwrap();
        assert_eq!((options.scope, options.launcher_hook.mode), (Scope::AllPods, Mode::Compute));
        assert_eq!(options.launcher_hook.image.as_deref(), Some("example.com/helper:1"));
        assert_eq!(options.global_namespaces, ["shared"]);
    }

    #[rstest]
    #[case::of_a_later_version(&["--frobnicate"], "unexpected argument '--frobnicate' found")]
    #[case::value(&["--scope=everything"], "invalid value 'everything' for '--scope <SCOPE>'")]
    #[case::together(&["--launcher-hook=sidecar"], "--launcher-hook needs an image: name it with --launcher-hook-image")]
    fn flags_that_this_program_does_not_understand(#[case] release: &[&str], #[case] expected: &str) {
        let problem = merged(&[], release).unwrap_err();
        assert!(problem.starts_with(expected), "{problem}");
    }

    #[test]
    fn only_serve_has_them() {
        let program = Program::try_parse_from(["program"]).unwrap();
        let arguments = ["certs".to_owned(), "inspect".to_owned()];
        assert_eq!(program.flags.merged(&arguments).unwrap_err(), "its first argument is not serve");
    }
}
