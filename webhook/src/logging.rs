//! Log lines on standard error: one JSON object (or one plain line) each.
//!
//! Everything goes through [`Lines`], so that a request never waits for whoever reads the log. Reviews have
//! a line of their own making ([`ReviewLog`]); all else comes from `tracing`.

mod lines;
mod review;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use lines::{Flush, Lines};
pub use review::{ReviewLine, ReviewLog};

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For eyes.
    Text,
}

/// The name under which the lines about reviews are filtered.
const REVIEW_TARGET: &str = "webhook::review";

/// Starts logging to standard error, for the whole process.
///
/// The first value writes the lines of reviews; when the second is dropped, all that was logged is written.
///
/// # Errors
/// Where logging was started before, or no thread can be had.
pub fn start(format: LogFormat, level: Targets) -> anyhow::Result<(ReviewLog, Flush)> {
    let (lines, flush) = Lines::start(std::io::stderr())?;
    let level = without_kube(level);
    let enabled = level.would_enable(REVIEW_TARGET, &Level::INFO);
    let writer = lines.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
    match format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing_subscriber::registry().with(layer.with_filter(level)).try_init()?;
        }
        LogFormat::Text => tracing_subscriber::registry().with(layer.with_filter(level)).try_init()?,
    }
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(place = panic.location().map(tracing::field::display), "panic: {}", message(panic));
    }));
    Ok((ReviewLog::new(lines, format, enabled), flush))
}

/// kube says of each failed request and each refused watch that it failed, every time. Whoever asked says it
/// once and in one sentence, so that kube's own lines are for those who look for more.
fn without_kube(level: Targets) -> Targets {
    let asked_for = level.default_level().is_some_and(|level| level >= Level::DEBUG)
        || level.iter().any(|(target, _)| target.starts_with("kube_"));
    if asked_for {
        return level;
    }
    level.with_target("kube_client", LevelFilter::OFF).with_target("kube_runtime", LevelFilter::OFF)
}

fn message<'a>(panic: &'a std::panic::PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("(no message)")
}
