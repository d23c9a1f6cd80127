//! Lines on their way to a slow reader.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a line may wait for others to be written with it: one system call for many lines.
const GATHER: Duration = Duration::from_millis(10);

/// How much may wait while the reader does not read; what comes then is dropped and counted.
const WAITING_LIMIT: usize = 1024 * 1024;

/// Takes lines without waiting; a thread writes them in the order in which they came.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Shared>);

/// Writes what is left when it is dropped.
#[derive(Debug)]
pub struct Flush {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    closed: bool,
}

impl Lines {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let shared = Arc::new(Shared::default());
        let writer = thread::Builder::new().name("log".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write_to(output)
        })?;
        Ok((Self(Arc::clone(&shared)), Flush { shared, writer: Some(writer) }))
    }

    /// Adds what `line` writes. A line that does not fit any more is counted instead.
    pub fn add(&self, line: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.0.waiting();
        if waiting.bytes.len() > WAITING_LIMIT {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let first = waiting.bytes.is_empty();
        line(&mut waiting.bytes);
        drop(waiting);
        if first {
            self.0.wake.notify_one();
        }
    }

    /// How many lines were dropped because nobody read.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut output: impl Write) {
        let mut batch = Vec::new();
        loop {
            let waiting = self
                .wake
                .wait_while(self.waiting(), |waiting| waiting.bytes.is_empty() && !waiting.closed)
                .unwrap_or_else(PoisonError::into_inner);
            let closed = waiting.closed;
            drop(waiting);
            if !closed {
                thread::sleep(GATHER);
            }
            let closed = {
                let mut waiting = self.waiting();
                mem::swap(&mut waiting.bytes, &mut batch);
                waiting.closed
            };
            // A log that cannot be written has nowhere to say so.
            let _ = output.write_all(&batch).and_then(|()| output.flush());
            let empty = batch.is_empty();
            batch.clear();
            if closed && empty {
                return;
            }
        }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(|line| line.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.shared.waiting().closed = true;
        self.shared.wake.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_once_and_whole() {
        let output = Output::default();
        let (lines, flush) = Lines::start(output.clone()).unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let lines = &lines;
                scope.spawn(move || {
                    for number in 0..500 {
                        lines.add(|line| writeln!(line, "{writer} {number}").unwrap());
                    }
                });
            }
        });
        drop(flush);
        let written = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        for writer in 0..4 {
            let numbers: Vec<usize> = written
                .lines()
                .filter_map(|line| line.strip_prefix(&format!("{writer} ")))
                .map(|number| number.parse().unwrap())
                .collect();
            assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        }
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
        let (lines, flush) = Lines::start(Stuck(stuck)).unwrap();
        let line = vec![b'x'; 64 * 1024];
        for _ in 0..100 {
            lines.add(|waiting| waiting.extend_from_slice(&line));
        }
        assert!(lines.dropped() > 50, "{} dropped", lines.dropped());
        drop(release);
        drop(flush);
    }
}
