//! How `sriov-webhook` starts `launcher-hook` in a pod: container, files, subcommands and flags, and which flags of
//! `launcher-hook serve` are the administrator's to set.
//!
//! The webhook writes these names into pods, and launcher-hook's command line is made from the same constants,
//! so a flag cannot be renamed in one of the two programs alone. A wrong argument keeps every virtual machine from
//! starting, so it is checked where it is given. `launcher-hook` tests that its own definition is the one here.

use std::fmt;

use thiserror::Error;

use crate::{Quoted, duration};

/// The container that the webhook injects, a sidecar in both modes.
pub const CONTAINER: &str = "launcher-hook";

/// The program in launcher-hook's image.
pub const PROGRAM: &str = "/launcher-hook";

/// File name of the program in the folder that [`flag::INSTALL`] names.
pub const INSTALLED_NAME: &str = "launcher-hook";

/// File name of the socket. KubeVirt tells sockets apart by their file name alone, across folders.
pub const SOCKET_NAME: &str = "sriov-launcher-hook.sock";

/// File name of the [`DeviceReport`](crate::DeviceReport).
pub const DEVICE_REPORT_NAME: &str = "devices.json";

/// Subcommands.
pub mod subcommand {
    /// Answers KubeVirt; what the container runs.
    pub const SERVE: &str = "serve";
    /// Tells whether the socket answers; the container's startup probe.
    pub const READY: &str = "ready";
    /// Writes the [`DeviceReport`](crate::DeviceReport); what `compute` runs once it has started.
    pub const REPORT_DEVICES: &str = "report-devices";
}

/// Flags, without the dashes.
pub mod flag {
    /// Folder of a hook socket.
    pub const SOCKET_DIR: &str = "socket-dir";
    /// How long to wait for the socket, in seconds.
    pub const PATIENCE: &str = "patience";
    /// Go on after virt-launcher's Shutdown.
    pub const KEEP_SERVING: &str = "keep-serving";
    /// Folder to copy the program to.
    pub const INSTALL: &str = "install";
    /// File of the [`DeviceReport`](crate::DeviceReport).
    pub const DEVICE_REPORT: &str = "device-report";
    /// What to do about a VF that cannot be used.
    pub const VERIFY: &str = "verify";
    /// File of KubeVirt's network-info.
    pub const NETWORK_INFO: &str = "network-info";
    /// File of Multus' network-status.
    pub const NETWORK_STATUS: &str = "network-status";
    /// File of the pod's network selections.
    pub const NETWORKS_ANNOTATION: &str = "networks-annotation";
    /// File to fill with completed network-info.
    pub const FILL_NETWORK_INFO: &str = "fill-network-info";
    /// File of the VMI's annotation `kubevirt-sriov.io/networks`.
    pub const VMI_NETWORKS: &str = "vmi-networks";
}

/// A flag with its value, as one argument.
#[must_use]
pub fn option(flag: &str, value: &str) -> String {
    format!("--{flag}={value}")
}

/// Name of the network binding plugin whose interfaces get a VF, unless [`BINDING`] says otherwise.
pub const DEFAULT_BINDING: &str = "sriov";

/// The flag that names another binding plugin.
pub const BINDING: &str = "--binding";

/// A flag that takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its name, dashes included.
    pub name: &'static str,
    /// The values that it takes.
    pub values: Values,
}

/// The values that a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Any text.
    Text,
    /// A [duration].
    Duration,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// The flags that are the administrator's to set.
pub const FLAGS: &[Flag] = &[
    Flag { name: "--assign", values: Values::Words(&["refuse", "multus", "in-order"]) },
    Flag { name: BINDING, values: Values::Text },
    Flag { name: "--log-format", values: Values::Words(&["text", "json"]) },
    Flag { name: "--log-level", values: Values::Words(&["error", "warn", "info", "debug", "trace"]) },
    Flag { name: "--network-info-patience", values: Values::Duration },
    Flag { name: "--verify", values: Values::Words(&["off", "warn", "fail"]) },
];

/// A list of arguments that `launcher-hook serve` would not take, or should not get.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// A flag that it does not have, or that the webhook sets itself.
    #[error("{} is not a flag that can be set for launcher-hook: use {}", Quoted(.argument), flags())]
    Flag {
        /// The argument.
        argument: String,
    },
    /// No value.
    #[error("{flag} has no value: write {flag}=VALUE")]
    NoValue {
        /// The flag.
        flag: &'static str,
    },
    /// A value that the flag does not take.
    #[error("{flag}: {} is not a valid value: use {values}", Quoted(.value))]
    Value {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: String,
        /// Those that it takes.
        values: Values,
    },
    /// A flag that is given again.
    #[error("{flag} is given twice: remove one")]
    Twice {
        /// The flag.
        flag: &'static str,
    },
}

/// Checks that `arguments` are flags of `launcher-hook serve` with valid values, `--flag=value` or
/// `--flag` and `value`, each flag once.
///
/// # Errors
/// The first argument that is not.
pub fn check_arguments<A: AsRef<str>>(arguments: &[A]) -> Result<(), ArgumentError> {
    settings(arguments).map(|_| ())
}

/// The binding plugin whose interfaces `launcher-hook` serves with these arguments.
#[must_use]
pub fn binding<A: AsRef<str>>(arguments: &[A]) -> &str {
    let settings = settings(arguments).unwrap_or_default();
    settings.into_iter().find(|(flag, _)| flag.name == BINDING).map_or(DEFAULT_BINDING, |(_, value)| value)
}

/// Each flag with its value.
fn settings<A: AsRef<str>>(arguments: &[A]) -> Result<Vec<(&'static Flag, &str)>, ArgumentError> {
    let mut settings: Vec<(&'static Flag, &str)> = Vec::new();
    let mut arguments = arguments.iter().map(AsRef::as_ref);
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        let flag = FLAGS
            .iter()
            .find(|flag| flag.name == name)
            .ok_or_else(|| ArgumentError::Flag { argument: argument.to_owned() })?;
        let flag_name = flag.name;
        let value = value
            .or_else(|| arguments.next())
            .filter(|value| !value.is_empty())
            .ok_or(ArgumentError::NoValue { flag: flag_name })?;
        if !flag.values.contains(value) {
            let value = value.to_owned();
            return Err(ArgumentError::Value { flag: flag_name, value, values: flag.values });
        }
        if settings.iter().any(|(other, _)| *other == flag) {
            return Err(ArgumentError::Twice { flag: flag_name });
        }
        settings.push((flag, value));
    }
    Ok(settings)
}

fn flags() -> String {
    FLAGS.iter().map(|flag| flag.name).collect::<Vec<_>>().join(", ")
}

impl Values {
    fn contains(self, value: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Duration => duration::parse(value).is_ok(),
            Self::Words(words) => words.contains(&value),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("any text"),
            Self::Duration => f.write_str("a number and ms, s, m, h, d or y, such as 90s"),
            Self::Words(words) => f.write_str(&words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&[], "sriov")]
    #[case::one_word(&["--assign=multus", "--verify=off"], "sriov")]
    #[case::two_words(&["--binding", "vf", "--log-level", "debug"], "vf")]
    #[case::value_with_an_equals_sign(&["--binding=a=b"], "a=b")]
    fn valid(#[case] arguments: &[&str], #[case] plugin: &str) {
        check_arguments(arguments).unwrap();
        assert_eq!(binding(arguments), plugin);
    }

    #[rstest]
    #[case::slip(&["--asign=multus"], r#""--asign=multus" is not a flag that can be set for launcher-hook: use --assign, --binding, --log-format, --log-level, --network-info-patience, --verify"#)]
    #[case::set_by_the_webhook(&["--socket-dir=/tmp"], r#""--socket-dir=/tmp" is not a flag that can be set for launcher-hook: use --assign, --binding, --log-format, --log-level, --network-info-patience, --verify"#)]
    #[case::word(&["multus"], r#""multus" is not a flag that can be set for launcher-hook: use --assign, --binding, --log-format, --log-level, --network-info-patience, --verify"#)]
    #[case::value(&["--assign=mutlus"], r#"--assign: "mutlus" is not a valid value: use refuse, multus, in-order"#)]
    #[case::flag_as_value(&["--assign", "--verify=off"], r#"--assign: "--verify=off" is not a valid value: use refuse, multus, in-order"#)]
    #[case::no_duration(&["--network-info-patience=90"], r#"--network-info-patience: "90" is not a valid value: use a number and ms, s, m, h, d or y, such as 90s"#)]
    #[case::no_value(&["--binding"], "--binding has no value: write --binding=VALUE")]
    #[case::empty_value(&["--binding="], "--binding has no value: write --binding=VALUE")]
    #[case::twice(&["--verify=off", "--verify", "fail"], "--verify is given twice: remove one")]
    fn invalid(#[case] arguments: &[&str], #[case] message: &str) {
        assert_eq!(check_arguments(arguments).unwrap_err().to_string(), message);
    }
}
