use super::*;
use clap::CommandFactory;
use rstest::rstest;

#[test]
fn the_command_line_is_well_made() {
    Cli::command().debug_assert();
}

/// A wrapped line of an example is no longer what a shell would take.
#[test]
fn what_help_ends_with_fits_a_terminal() {
    let cli = Cli::command();
    let commands = [&cli].into_iter().chain(cli.get_subcommands());
    let ends: Vec<_> =
        commands.filter_map(|command| command.get_after_long_help()).map(|end| end.to_string()).collect();
    assert_eq!(ends.len(), 8);
    for line in ends.iter().flat_map(|end| end.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn each_command_has_examples_and_exit_status() {
    for command in Cli::command().get_subcommands() {
        let end = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        for part in ["Examples:\n", "\nExit status:\n  0  "] {
            assert!(end.contains(part), "{}: no {part:?} in {end:?}", command.get_name());
        }
    }
}

#[rstest]
#[case("define", 34)]
#[case("check", 34)]
#[case("serve", 34)]
#[case("libvirt-hook", 34)]
fn short_help_fits_a_screen(#[case] command: &str, #[case] lines: usize) {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let help = cli.find_subcommand_mut(command).unwrap().render_help().to_string();
    assert!(help.lines().count() <= lines, "{} lines:\n{help}", help.lines().count());
    // Of use in tests and on unusual hosts only.
    assert!(!help.contains("--sysfs"), "{help}");
}

/// Flags that the webhook sets itself, or that nobody has a use for in a pod.
const NOT_SETTABLE: [&str; 15] = [
    "--dev",
    "--device-report",
    "--environ",
    "--claim-metadata",
    "--fill-network-info",
    "--help",
    "--install",
    "--keep-serving",
    "--network-info",
    "--network-status",
    "--networks-annotation",
    "--procfs",
    "--socket-dir",
    "--sysfs",
    "--vmi-networks",
];

#[test]
fn serve_has_the_flags_that_the_webhook_lets_through() {
    let mut cli = Cli::command();
    cli.build();
    let serve = cli.find_subcommand("serve").unwrap();
    let flags = serve.get_arguments().filter_map(|argument| argument.get_long());
    let mut flags: Vec<String> = flags.map(|name| format!("--{name}")).collect();
    let settable = contract::helper::FLAGS.iter().map(|flag| flag.name);
    let mut known: Vec<&str> = settable.chain(NOT_SETTABLE).collect();
    flags.sort_unstable();
    known.sort_unstable();
    assert_eq!(flags, known);
}

#[test]
fn serve_takes_the_values_that_the_webhook_lets_through_and_no_others() {
    use contract::helper::{FLAGS, Values};
    let serve = |flag: &str, value: &str| {
        Cli::try_parse_from(["launcher-hook", "serve", &format!("{flag}={value}")]).is_ok()
    };
    for flag in FLAGS {
        let (values, takes_any): (&[&str], _) = match flag.values {
            Values::Text => (&["anything"], true),
            Values::Duration => (&["0", "90s", "500ms", "1y"], false),
            Values::Words(words) => (words, false),
        };
        for value in values {
            assert!(serve(flag.name, value), "{}={value}", flag.name);
        }
        assert_eq!(serve(flag.name, "nothing-known"), takes_any, "{}", flag.name);
    }
    for argument in Cli::command().get_subcommands().flat_map(|command| command.get_arguments()) {
        let name = format!("--{}", argument.get_long().unwrap_or_default());
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == name) else { continue };
        let listed: Vec<_> =
            argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        if let Values::Words(words) = flag.values
            && !listed.is_empty()
        {
            assert_eq!(listed, words, "{name}");
        }
    }
}

/// The webhook sets some flags itself, and the administrator's come beside them.
#[test]
fn a_flag_that_is_given_twice_counts_as_the_last() {
    let cli = Cli::try_parse_from(["launcher-hook", "serve", "--verify=off", "--verify=fail"]).unwrap();
    let Command::Serve(serve) = cli.command else { panic!("not serve") };
    assert_eq!(serve.verify, Verification::Fail);
    let two = ["launcher-hook", "serve", "--socket-dir=/a", "--socket-dir=/b", "--network-info-patience=5s"];
    let Command::Serve(serve) = Cli::try_parse_from(two).unwrap().command else { panic!("not serve") };
    assert_eq!(serve.sockets.socket_dir.len(), 2);
}
