//! HTTP errors: the answer to a request that is not a review.

use axum::body::Body;
use axum::response::IntoResponse as _;
use contract::Quoted;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use super::{FINAL_PATH, PATH, VMI_PATH};
use crate::server::body::BodyError;

/// A request that is not a review.
pub(super) struct Rejection {
    pub(super) status: StatusCode,
    /// For metrics and logs.
    pub(super) reason: &'static str,
    pub(super) sentence: String,
}

impl Rejection {
    /// Rejects a body that is announced as anything but JSON.
    pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Self> {
        let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
        if essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
            return Ok(());
        }
        let sentence = if value.is_empty() {
            "the request has no content type: send application/json".to_owned()
        } else {
            let value = String::from_utf8_lossy(value);
            format!("the content type {} is not spoken here: send application/json", Quoted(&value))
        };
        Err(Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, reason: "content_type", sentence })
    }

    pub(super) fn no_review(sentence: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: "no_review", sentence }
    }

    pub(super) fn busy(in_flight: usize) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            reason: "overload",
            sentence: format!(
                "{in_flight} requests are being answered, the limit set with --max-in-flight: try again"
            ),
        }
    }

    pub(super) fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            reason: "internal",
            sentence: "the webhook failed while it read the review: its log says where".to_owned(),
        }
    }

    pub(super) fn method(request: &Request<Body>) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            reason: "method",
            sentence: format!(
                "{} takes POST, not {}",
                request.uri().path(),
                Quoted(request.method().as_str())
            ),
        }
    }

    pub(super) fn path(request: &Request<Body>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            reason: "path",
            sentence: format!(
                "there is nothing at {}: reviews of pods go to {PATH}, of VMIs to {VMI_PATH}, final looks to {FINAL_PATH}",
                Quoted(request.uri().path())
            ),
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = (self.status, self.sentence + "\n").into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        Self { status: error.status(), reason: error.as_str(), sentence: error.to_string() }
    }
}
