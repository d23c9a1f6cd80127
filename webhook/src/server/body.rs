//! Request bodies: read whole, up to a limit, within a time, and together within a budget of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::BodyLimits;

/// Why a body was not read. The sentences are for the author of the client.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {limit} bytes, the limit set with --max-body")]
    TooLarge { limit: usize },
    #[error("the body did not come within {} s", limit.as_secs_f32())]
    TooSlow { limit: Duration },
    #[error("the bodies of other requests fill the memory set aside for them: try again")]
    NoRoom,
    #[error("the body broke off: {reason}")]
    BrokenOff { reason: String },
}

impl BodyError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom => StatusCode::TOO_MANY_REQUESTS,
            Self::BrokenOff { .. } => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "body_too_large",
            Self::TooSlow { .. } => "body_too_slow",
            Self::NoRoom => "overload",
            Self::BrokenOff { .. } => "body_broken_off",
        }
    }
}

/// Reads bodies.
#[derive(Debug, Clone)]
pub(super) struct BodyReader {
    limits: BodyLimits,
    room: Arc<Semaphore>,
}

/// A body, and its share of the memory.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// A refused body is read on for so long, so that the client comes to read the answer.
const LINGER: Duration = Duration::from_secs(1);

impl BodyReader {
    pub(super) fn new(limits: BodyLimits) -> Self {
        let shared = limits.shared.max(limits.bytes).min(Semaphore::MAX_PERMITS);
        Self { limits, room: Arc::new(Semaphore::new(shared)) }
    }

    pub(super) async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Whole, BodyError> {
        let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if said > self.limits.bytes {
            if !headers.contains_key(header::EXPECT) {
                linger(body).await;
            }
            return Err(BodyError::TooLarge { limit: self.limits.bytes });
        }
        let result = tokio::time::timeout(self.limits.time, self.collect(&mut body, said)).await;
        match result.unwrap_or(Err(BodyError::TooSlow { limit: self.limits.time })) {
            Err(error @ (BodyError::TooLarge { .. } | BodyError::NoRoom)) => {
                linger(body).await;
                Err(error)
            }
            other => other,
        }
    }

    async fn collect(&self, body: &mut Body, said: usize) -> Result<Whole, BodyError> {
        let mut room = None;
        let mut first = Bytes::new();
        let mut rest = Vec::new();
        let mut length = 0_usize;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| BodyError::BrokenOff { reason: error.to_string() })?;
            // What is not data is trailers, and they say nothing to us.
            let Ok(data) = frame.into_data() else { continue };
            let before = self.shared(length);
            length = length.saturating_add(data.len());
            if length > self.limits.bytes {
                return Err(BodyError::TooLarge { limit: self.limits.bytes });
            }
            // By what came, not by what was said to come: words alone are to keep nobody out.
            self.claim(&mut room, self.shared(length).saturating_sub(before))?;
            if first.is_empty() && rest.is_empty() {
                // Most bodies come in one piece, and are not copied.
                first = data;
            } else {
                if rest.is_empty() {
                    rest.reserve_exact(said.max(length));
                    rest.extend_from_slice(&first);
                    first = Bytes::new();
                }
                rest.extend_from_slice(&data);
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.into() };
        Ok(Whole { bytes, _room: room })
    }

    /// How much of a body of this length is in the shared memory.
    fn shared(&self, length: usize) -> usize {
        length.saturating_sub(self.limits.small)
    }

    fn claim(&self, room: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), BodyError> {
        if bytes == 0 {
            return Ok(());
        }
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::NoRoom)?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| BodyError::NoRoom)?;
        match room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }
}

async fn linger(mut body: Body) {
    let _ = tokio::time::timeout(LINGER, async { while let Some(Ok(_)) = body.frame().await {} }).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use rstest::rstest;
    use std::convert::Infallible;

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> =
            sizes.iter().map(|&size| Ok::<_, Infallible>(Bytes::from(vec![b'x'; size]))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    fn reader() -> BodyReader {
        BodyReader::new(BodyLimits { bytes: 10, time: Duration::from_secs(1), small: 2, shared: 12 })
    }

    #[rstest]
    #[case::empty(chunks(&[]), Ok(0))]
    #[case::one_piece(Body::from("0123456789"), Ok(10))]
    #[case::pieces(chunks(&[4, 0, 6]), Ok(10))]
    #[case::said_to_be_over(Body::from("01234567890"), Err(BodyError::TooLarge { limit: 10 }))]
    #[case::over_in_pieces(chunks(&[4, 7]), Err(BodyError::TooLarge { limit: 10 }))]
    #[tokio::test]
    async fn limits(#[case] body: Body, #[case] expected: Result<usize, BodyError>) {
        let read = reader().read(&HeaderMap::new(), body).await;
        assert_eq!(read.map(|whole| whole.bytes.len()), expected);
    }

    #[tokio::test]
    async fn no_limit_is_too_large() {
        let reader = BodyReader::new(BodyLimits { bytes: usize::MAX, ..BodyLimits::default() });
        assert_eq!(reader.read(&HeaderMap::new(), Body::from("01")).await.unwrap().bytes.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_given_up() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let error = reader().read(&HeaderMap::new(), body).await.unwrap_err();
        assert_eq!(error.to_string(), "the body did not come within 1 s");
    }

    #[tokio::test]
    async fn large_bodies_share_the_memory_and_give_it_back() {
        let reader = reader();
        let headers = HeaderMap::new();
        let first = reader.read(&headers, chunks(&[5, 5])).await.unwrap();
        assert_eq!(reader.read(&headers, chunks(&[4, 3])).await.unwrap_err(), BodyError::NoRoom);
        assert_eq!(reader.read(&headers, Body::from("0123456")).await.unwrap_err(), BodyError::NoRoom);
        let second = reader.read(&headers, Body::from("012345")).await.unwrap();
        let small = reader.read(&headers, chunks(&[1, 1])).await.unwrap();
        drop((first, second, small));
        assert_eq!(reader.room.available_permits(), 12);
    }
}
