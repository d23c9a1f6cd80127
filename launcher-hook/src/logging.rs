//! Logs go to standard error: standard output belongs to the domain.

use std::io;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object on each line
    Json,
}

/// How the program logs.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArguments {
    /// Format of log lines on standard error
    #[arg(
        long,
        hide_short_help = true,
        value_enum,
        default_value_t,
        env = "LAUNCHER_HOOK_LOG_FORMAT",
        global = true
    )]
    pub log_format: LogFormat,
    /// Lowest level to log: error, warn, info, debug or trace
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        env = "LAUNCHER_HOOK_LOG_LEVEL",
        global = true
    )]
    pub log_level: Level,
}

/// Sends what the program logs to standard error. Libraries are heard from warnings on.
pub fn start(arguments: &LogArguments) {
    let LogArguments { log_format, log_level } = arguments;
    let filter = Targets::new()
        .with_default(Level::WARN.min(*log_level))
        .with_target(env!("CARGO_CRATE_NAME"), *log_level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let registry = registry();
    match log_format {
        LogFormat::Text => registry.with(lines.with_filter(filter)).init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_filter(filter)).init(),
    }
}
