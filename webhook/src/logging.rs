//! Log lines on standard error, one JSON object or one plain line each, all of them `tracing` events.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The target of the events about reviews, one for each.
pub const REVIEW_TARGET: &str = "webhook::review";

/// Lines that may wait for a reader who does not read. Further lines are dropped and counted.
const WAITING_LINES: usize = 2048;

/// How long lines gather after a batch was written, so that under load one system call writes many of them.
const GATHER: Duration = Duration::from_millis(10);

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Human-readable.
    Text,
}

/// Starts logging to standard error, for the whole process.
///
/// The first value counts the lines that were dropped; dropping the second writes the lines that still wait.
///
/// # Errors
/// If logging was started before.
pub fn start(format: LogFormat, level: Targets) -> anyhow::Result<(ErrorCounter, WorkerGuard)> {
    let (writer, guard) = non_blocking(io::stderr());
    let dropped = writer.error_counter();
    let layer = layer(format, writer).with_filter(without_kube(level));
    tracing_subscriber::registry().with(layer).try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(place = panic.location().map(tracing::field::display), "panic: {}", message(panic));
    }));
    Ok((dropped, guard))
}

fn non_blocking(output: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(Batches(BufWriter::new(output)))
}

/// Formats events as lines for `writer`.
pub(crate) fn layer<W>(format: LogFormat, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => layer.boxed(),
    }
}

/// Pauses after each batch: the log's thread flushes when no line waits.
struct Batches<W: Write>(BufWriter<W>);

impl<W: Write> Write for Batches<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(GATHER);
        flushed
    }
}

/// kube logs every failed request and every refused watch, each time. Our callers log the same failure once, in one
/// sentence, so kube's own lines appear only at debug level.
fn without_kube(level: Targets) -> Targets {
    let asked_for = level.default_level().is_some_and(|level| level >= tracing::Level::DEBUG)
        || level.iter().any(|(target, _)| target.starts_with("kube_"));
    if asked_for {
        return level;
    }
    level.with_target("kube_client", LevelFilter::OFF).with_target("kube_runtime", LevelFilter::OFF)
}

fn message<'a>(panic: &'a std::panic::PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn all_lines_are_written_in_their_order_before_the_program_ends() {
        struct Output(mpsc::Sender<Vec<u8>>);
        impl Write for Output {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.send(bytes.to_vec()).unwrap();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (output, written) = mpsc::channel();
        let (mut writer, guard) = non_blocking(Output(output));
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
        lines.iter().for_each(|line| writer.write_all(line.as_bytes()).unwrap());
        drop((guard, writer));
        let batches: Vec<Vec<u8>> = written.iter().collect();
        assert!(batches.len() < 100, "{} system calls", batches.len());
        assert_eq!(String::from_utf8(batches.concat()).unwrap(), lines.concat());
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read() {
        struct Stuck(mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = mpsc::channel();
        let (mut writer, guard) = non_blocking(Stuck(stuck));
        let line = [b'x'; 1024];
        for _ in 0..2 * WAITING_LINES {
            writer.write_all(&line).unwrap();
        }
        let dropped = writer.error_counter().dropped_lines();
        // Beside those that wait in the channel a few lines are in the buffer that is being written.
        assert!((WAITING_LINES - 16..=WAITING_LINES).contains(&dropped), "{dropped} dropped");
        drop((release, guard));
    }
}
