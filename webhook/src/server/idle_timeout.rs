//! A connection that does not wait forever for its client.
//!
//! hyper's own time-out for headers also ends connections that merely idle between two requests, as those of
//! an API server do. So the two are told apart here, below hyper, by what has been read and whether a request
//! is being answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::ConnectionLimits;

/// What a connection's requests, its bytes and its slot know of one another.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    started: AtomicU64,
    finished: AtomicU64,
    /// Microseconds from the opening to the end of the last answer.
    rested: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            rested: AtomicU64::new(0),
        }
    }
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Answering(Arc<Activity>);

impl Activity {
    pub(super) fn start(self: &Arc<Self>) -> Answering {
        self.started.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    pub(super) fn is_answering(&self) -> bool {
        self.started.load(Ordering::Acquire) != self.finished.load(Ordering::Acquire)
    }

    /// Since when nothing has been asked: the last answer, or the opening. Nothing while an answer is on its way.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let rested = Duration::from_micros(self.rested.load(Ordering::Acquire));
        (!self.is_answering()).then(|| self.opened + rested)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let rested = u64::try_from(self.0.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.rested.store(rested, Ordering::Release);
        self.0.finished.fetch_add(1, Ordering::Release);
    }
}

/// What the client is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// A request's head.
    Head,
    /// The next request.
    Idle,
}

/// The bytes of one connection.
#[derive(Debug)]
pub(super) struct IdleTimeout<S> {
    stream: S,
    limits: ConnectionLimits,
    activity: Arc<Activity>,
    /// With HTTP/2, requests come side by side and hyper asks the client whether it is still there: any byte
    /// is a sign of life.
    multiplexed: bool,
    seen: u64,
    waiting: Waiting,
    since: Instant,
    stalled: Option<Instant>,
    clock: Pin<Box<Sleep>>,
}

impl<S> IdleTimeout<S> {
    pub(super) fn new(
        stream: S,
        limits: ConnectionLimits,
        activity: Arc<Activity>,
        multiplexed: bool,
    ) -> Self {
        let since = Instant::now();
        Self {
            stream,
            limits,
            activity,
            multiplexed,
            seen: 0,
            waiting: Waiting::Head,
            since,
            stalled: None,
            clock: Box::pin(sleep_until(since + limits.head)),
        }
    }

    fn wait_for(&mut self, waiting: Waiting) {
        self.waiting = waiting;
        self.since = Instant::now();
    }

    /// Some bytes came.
    fn heard(&mut self) {
        if self.multiplexed {
            self.wait_for(Waiting::Idle);
        } else if self.waiting == Waiting::Idle {
            self.wait_for(Waiting::Head);
        }
    }

    /// Until when the client may stay silent; forever while it is we who are at work.
    fn deadline(&mut self) -> Option<Instant> {
        let started = self.activity.started.load(Ordering::Relaxed);
        let answering = started != self.activity.finished.load(Ordering::Relaxed);
        if started != self.seen && !answering {
            self.seen = started;
            self.wait_for(Waiting::Idle);
        }
        (!answering || self.multiplexed).then(|| {
            self.since
                + match self.waiting {
                    Waiting::Head => self.limits.head,
                    Waiting::Idle => self.limits.idle,
                }
        })
    }

    /// Has `deadline` passed? If not, the task is woken then.
    fn is_over(&mut self, context: &mut Context<'_>, deadline: Instant) -> bool {
        // A clock that is set earlier than needed is left alone and set again when it rings: most waits end
        // before, and setting it costs more than looking at the time.
        if self.clock.deadline() > deadline {
            self.clock.as_mut().reset(deadline);
        }
        while self.clock.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.clock.as_mut().reset(deadline);
        }
        false
    }

    fn written<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let since = *self.stalled.get_or_insert_with(Instant::now);
        if self.is_over(context, since + self.limits.write) {
            return Poll::Ready(Err(timed_out("the client does not read its answer")));
        }
        poll
    }
}

fn timed_out(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

impl<S: Read + Unpin> Read for IdleTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.heard();
            return Poll::Ready(result);
        }
        if let Some(deadline) = self.deadline()
            && self.is_over(context, deadline)
        {
            return Poll::Ready(Err(timed_out("the client sends nothing")));
        }
        Poll::Pending
    }
}

impl<S: Write + Unpin> Write for IdleTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.written(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.written(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.written(context, poll)
    }
}
