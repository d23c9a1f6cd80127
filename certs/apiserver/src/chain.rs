//! An error and its causes in one line.

use std::error::Error;

use kube::client::AuthError;

/// `error` with its causes, without repeating what a text already contains.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// Why a request got no answer. Of a lost connection only what the system says: the text that kube and hyper put in
/// front of it ("client error (Connect)") tells a reader nothing.
pub(crate) fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Service(error) => root(&**error),
        kube::Error::HyperError(error) => root(error),
        error => chain(error),
    }
}

/// What went wrong before the request could be sent, because its credentials had to be renewed.
pub(crate) fn login_error(error: &kube::Error) -> Option<&AuthError> {
    match error {
        kube::Error::Auth(error) => Some(error),
        kube::Error::Service(error) => error.downcast_ref(),
        _ => None,
    }
}

/// Why there are no credentials. Of a plugin that failed only what it complained about: kube's own text also has its
/// environment and its output, which may be a token.
pub(crate) fn login_reason(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            format!("the login plugin failed ({}): {}", out.status, said.trim())
        }
        error => chain(error),
    }
}

fn root(mut error: &(dyn Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, below) = texts.split_first().unwrap();
        Layer { text, source: (!below.is_empty()).then(|| Box::new(layers(below))) }
    }

    #[test]
    fn causes_follow_each_other_and_none_is_repeated() {
        assert_eq!(
            chain(&layers(&["cannot start", "no socket", "in use"])),
            "cannot start: no socket: in use"
        );
        assert_eq!(
            chain(&layers(&["cannot start: no socket", "no socket", "in use"])),
            "cannot start: no socket: in use"
        );
    }

    #[test]
    fn of_a_lost_connection_only_the_last_cause_is_kept() {
        let error = kube::Error::Service(Box::new(layers(&["client error (Connect)", "tcp", "refused"])));
        assert_eq!(reason(&error), "refused");
    }
}
