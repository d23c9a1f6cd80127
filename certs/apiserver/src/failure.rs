//! What went wrong with a request, in one sentence with its remedy.

use std::fmt;
use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher;

use crate::chain::{chain, login_error, login_reason, reason};
use crate::{Object, Resource};

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// What was tried; several if a question for permissions found that several are missing.
    pub verbs: Vec<&'static str>,
    /// What it was about; boxed, because errors are moved around.
    pub object: Box<Object>,
    /// What happened.
    pub kind: Kind,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// 401: the API server does not recognise the credentials.
    Unauthorized {
        /// What the API server says.
        reason: String,
    },
    /// 403: a permission is missing.
    Forbidden {
        /// What the API server says; empty if it only said no.
        reason: String,
    },
    /// 404 for a whole kind: the cluster does not know it.
    NotServed,
    /// There are no credentials to send: a plugin or an issuer of tokens did not give any.
    NoLogin {
        /// What it says.
        reason: String,
    },
    /// 409: the object is not the one that was read.
    Conflict,
    /// The API server understood the request and rejected it.
    Refused {
        /// What the API server says.
        reason: String,
    },
    /// No answer, or one that says that there is none now: 429 and 5xx.
    Unreachable {
        /// What the connection or the API server says.
        reason: String,
    },
    /// No answer in time.
    TimedOut {
        /// How long it was waited for.
        limit: Duration,
    },
    /// An error that no API server writes: a proxy, a load balancer or another program answers there.
    Foreign {
        /// The HTTP status.
        code: u16,
        /// The beginning of the text, in one line.
        text: String,
    },
    /// An answer that cannot be read.
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

impl Failure {
    /// `verb` on `object` ended as `kind`.
    #[must_use]
    pub fn new(verb: &'static str, object: Object, kind: Kind) -> Self {
        Self { verbs: vec![verb], object: Box::new(object), kind }
    }

    /// What kube says of a request.
    #[must_use]
    pub fn of_request(verb: &'static str, object: Object, error: &kube::Error) -> Self {
        let kind = match error {
            kube::Error::Api(status) => return Self::of_status(verb, object, status),
            error if let Some(login) = login_error(error) => Kind::NoLogin { reason: login_reason(login) },
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                Kind::Unreadable { reason: chain(error) }
            }
            kube::Error::BuildRequest(_) => Kind::Refused { reason: chain(error) },
            error => Kind::Unreachable { reason: reason(error) },
        };
        Self::new(verb, object, kind)
    }

    /// What kube says of a watch.
    #[must_use]
    pub fn of_watch(object: Object, error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error) => Self::of_request("list", object, error),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                Self::of_request("watch", object, error)
            }
            watcher::Error::WatchError(status) => Self::of_status("watch", object, status),
            watcher::Error::NoResourceVersion => {
                Self::new("watch", object, Kind::Unreadable { reason: error.to_string() })
            }
        }
    }

    /// What the API server answered instead of the object.
    #[must_use]
    pub fn of_status(verb: &'static str, object: Object, status: &Status) -> Self {
        let reason = match one_line(&status.message) {
            said if said.is_empty() => format!("it gives no reason (status {})", status.code),
            said => said,
        };
        let kind = match status.code {
            code if is_foreign(verb, &object, status) => {
                Kind::Foreign { code, text: one_line(&status.message) }
            }
            401 => Kind::Unauthorized { reason },
            403 => Kind::Forbidden { reason },
            404 if is_about_kind(verb, &object, status) => Kind::NotServed,
            409 => Kind::Conflict,
            429 | 500..=599 => Kind::Unreachable { reason },
            _ => Kind::Refused { reason },
        };
        Self::new(verb, object, kind)
    }

    /// Whether the object was not the one that had been read: read again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }

    /// Whether a permission is missing.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self.kind, Kind::Forbidden { .. })
    }

    /// Whether the cluster does not know the kind.
    #[must_use]
    pub fn is_not_served(&self) -> bool {
        self.kind == Kind::NotServed
    }

    /// What happened, without the remedy.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { verbs, object, kind } = self;
        let verbs = verbs.join(", ");
        let cannot = format!("cannot {verbs} {object}");
        match kind {
            Kind::Unauthorized { reason } => {
                format!("{cannot}: the API server does not accept our credentials: {reason}")
            }
            Kind::NoLogin { reason } => format!("{cannot}: cannot log in: {reason}"),
            Kind::Forbidden { reason } if reason.is_empty() => format!("not allowed to {verbs} {object}"),
            Kind::Forbidden { reason } => {
                format!("not allowed to {verbs} {object} (the API server says: {reason})")
            }
            Kind::NotServed => format!("{cannot}: the cluster does not know {}", object.pronoun()),
            Kind::Conflict => format!("{object} was changed by another client in the meantime"),
            Kind::Refused { reason } => format!("{cannot}: the API server refuses it: {reason}"),
            Kind::Unreachable { reason } => format!("{cannot}: the API server does not answer: {reason}"),
            Kind::TimedOut { limit } => format!("{cannot}: {}", no_answer(*limit)),
            Kind::Foreign { code, text } if text.is_empty() => {
                format!("{cannot}: the answer is not an API server's: status {code} without a text")
            }
            Kind::Foreign { code, text } => {
                format!("{cannot}: the answer is not an API server's: status {code}, {text}")
            }
            Kind::Unreadable { reason } => format!("{cannot}: the answer cannot be read: {reason}"),
        }
    }

    /// What to do about it, if that can be said here.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let Self { verbs, object, kind } = self;
        match (kind, &**object) {
            (Kind::Unauthorized { .. }, _) => {
                Some("see the ServiceAccount's token or the kubeconfig".to_owned())
            }
            (Kind::NoLogin { .. }, _) => {
                Some("log in again, or correct the user in the kubeconfig".to_owned())
            }
            (Kind::Forbidden { reason }, _) if is_about_impersonation(reason) => Some(
                "grant \"impersonate\" on what it names to the kubeconfig's own user with a ClusterRole, or leave out \
                 --as, --as-group and --as-uid"
                    .to_owned(),
            ),
            (Kind::Forbidden { .. }, _) => {
                let verbs: Vec<String> = verbs.iter().map(|verb| format!("{verb:?}")).collect();
                Some(format!(
                    "grant {} on {} to this program's ServiceAccount or user with a {}",
                    verbs.join(", "),
                    object.pronoun(),
                    object.role()
                ))
            }
            (Kind::Foreign { .. } | Kind::Unreadable { .. }, _) => Some(
                "see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a \
                 load balancer or another program"
                    .to_owned(),
            ),
            (Kind::NotServed, Object::All { resource: Resource { installed_with: Some(what), .. }, .. }) => {
                Some(format!("install {what}"))
            }
            _ => None,
        }
    }
}

/// Whether the API server refuses that the client acts as another user; the permission that it lacks is not one on the
/// object then.
fn is_about_impersonation(reason: &str) -> bool {
    // Since Kubernetes 1.36 also "cannot impersonate-on:user-info:list resource".
    reason.contains(" cannot impersonate")
}

/// Whether 404 is about the kind, and not about one object of it or its namespace. While an API server starts, it
/// does not know the kinds of CustomResourceDefinitions yet, and says so without a Status.
fn is_about_kind(verb: &str, object: &Object, status: &Status) -> bool {
    matches!(object, Object::All { .. }) && (matches!(verb, "list" | "watch") || status.reason != "NotFound")
}

/// What kube gives as the reason of an answer that is not a Status.
const NO_STATUS: &str = "Failed to parse error data";

/// Whether something else than an API server has answered. An API server writes no HTML; without a Status it says 404 where
/// it does not know a kind, and 429 or 5xx where it has too much to do.
fn is_foreign(verb: &str, object: &Object, status: &Status) -> bool {
    // A Status that was sent has a sentence or a reason.
    let is_status = status.reason != NO_STATUS && !(status.reason.is_empty() && status.message.is_empty());
    let is_busy = matches!(status.code, 429 | 500..=599) && !status.message.trim_start().starts_with('<');
    let is_unknown_kind = status.code == 404 && is_about_kind(verb, object, status);
    !is_status && !is_busy && !is_unknown_kind
}

/// So much of what somebody else wrote goes into a sentence.
const LONGEST: usize = 200;

/// A text in one line, and not too long.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// That the API server took too long.
#[must_use]
pub fn no_answer(limit: Duration) -> String {
    format!("the API server did not answer within {} s", limit.as_secs_f32())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, ": {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;
    use rstest::rstest;

    use super::*;
    use crate::Scope;

    const THINGS: Resource = Resource {
        group: "example.com",
        version: "v1",
        kind: "Thing",
        plural: "things",
        installed_with: Some("the thing operator"),
    };

    fn secret() -> Object {
        Object::named("Secret", "hooks", "tls")
    }

    fn things(scope: Scope) -> Object {
        THINGS.within(scope)
    }

    fn status(code: u16, reason: &str, message: &str) -> Status {
        Status { code, reason: reason.to_owned(), message: message.to_owned(), ..Status::default() }
    }

    fn answered(verb: &'static str, object: Object, code: u16, reason: &str) -> String {
        Failure::of_status(verb, object, &status(code, reason, "it says")).to_string()
    }

    #[test]
    fn each_status_has_its_sentence() {
        let all = || things(Scope::AllNamespaces);
        let lines = [
            answered("get", secret(), 401, "Unauthorized"),
            answered("get", secret(), 403, "Forbidden"),
            answered("list", Resource::of::<Node>().within(Scope::Cluster), 403, "Forbidden"),
            answered("get", secret(), 404, "NotFound"),
            answered("list", all(), 404, "NotFound"),
            answered("get", things(Scope::Namespace("vms".to_owned())), 404, ""),
            answered("create", things(Scope::Namespace("gone".to_owned())), 404, "NotFound"),
            answered("patch", secret(), 409, "Conflict"),
            answered("create", secret(), 422, "Invalid"),
            answered("get", secret(), 429, "TooManyRequests"),
            answered("watch", all(), 503, "ServiceUnavailable"),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        cannot get Secret hooks/tls: the API server does not accept our credentials: it says: see the ServiceAccount's token or the kubeconfig
        not allowed to get Secret hooks/tls (the API server says: it says): grant "get" on it to this program's ServiceAccount or user with a Role in that namespace
        not allowed to list nodes (the API server says: it says): grant "list" on them to this program's ServiceAccount or user with a ClusterRole
        cannot get Secret hooks/tls: the API server refuses it: it says
        cannot list things.example.com in all namespaces: the cluster does not know them: install the thing operator
        cannot get things.example.com in namespace vms: the cluster does not know them: install the thing operator
        cannot create things.example.com in namespace gone: the API server refuses it: it says
        Secret hooks/tls was changed by another client in the meantime
        cannot create Secret hooks/tls: the API server refuses it: it says
        cannot get Secret hooks/tls: the API server does not answer: it says
        cannot watch things.example.com in all namespaces: the API server does not answer: it says
        "#);
    }

    #[test]
    fn several_missing_permissions_are_one_sentence() {
        let kind = Kind::Forbidden { reason: String::new() };
        let failure =
            Failure { verbs: vec!["get", "watch"], ..Failure::new("", things(Scope::AllNamespaces), kind) };
        insta::assert_snapshot!(failure, @r#"not allowed to get, watch things.example.com in all namespaces: grant "get", "watch" on them to this program's ServiceAccount or user with a ClusterRole"#);
    }

    #[rstest]
    #[case::whole_seconds(10_000, "cannot get Secret hooks/tls: the API server did not answer within 10 s")]
    #[case::less_than_one(500, "cannot get Secret hooks/tls: the API server did not answer within 0.5 s")]
    fn silence(#[case] milliseconds: u64, #[case] expected: &str) {
        let kind = Kind::TimedOut { limit: Duration::from_millis(milliseconds) };
        assert_eq!(Failure::new("get", secret(), kind).to_string(), expected);
    }

    #[test]
    fn who_may_not_act_as_another_user_lacks_another_permission() {
        let message = "users \"jane\" is forbidden: User \"ann\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
        let failure = Failure::of_status("get", secret(), &status(403, "Forbidden", message));
        insta::assert_snapshot!(failure, @r#"not allowed to get Secret hooks/tls (the API server says: users "jane" is forbidden: User "ann" cannot impersonate resource "users" in API group "" at the cluster scope): grant "impersonate" on what it names to the kubeconfig's own user with a ClusterRole, or leave out --as, --as-group and --as-uid"#);
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_silence() {
        let error = serde_json::from_str::<u8>("{").unwrap_err();
        let failure = Failure::of_request("get", secret(), &kube::Error::SerdeError(error));
        insta::assert_snapshot!(failure, @"cannot get Secret hooks/tls: the answer cannot be read: Error deserializing response: invalid type: map, expected u8 at line 1 column 0: see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a load balancer or another program");
    }

    #[test]
    fn what_is_not_an_api_server_is_not_taken_for_one() {
        let foreign = |code: u16, text: &str| status(code, NO_STATUS, text);
        let said = |status: Status| Failure::of_status("get", secret(), &status).to_string();
        let lines = [
            said(foreign(502, "<html>\n<body>Bad   Gateway</body>\n</html>")),
            said(foreign(404, "not here")),
            said(foreign(403, &"x".repeat(300))).replace(&"x".repeat(200), "X"),
            said(foreign(302, "")),
            // JSON, but of another program.
            said(status(400, "", "")),
            said(foreign(429, "Too many requests, please try again later.")),
            said(foreign(500, "")),
            said(status(503, "ServiceUnavailable", "")),
            Failure::of_status("list", things(Scope::Cluster), &foreign(404, "404 page not found"))
                .to_string(),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        cannot get Secret hooks/tls: the answer is not an API server's: status 502, <html> <body>Bad Gateway</body> </html>: see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a load balancer or another program
        cannot get Secret hooks/tls: the answer is not an API server's: status 404, not here: see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a load balancer or another program
        cannot get Secret hooks/tls: the answer is not an API server's: status 403, X…: see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a load balancer or another program
        cannot get Secret hooks/tls: the answer is not an API server's: status 302 without a text: see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a load balancer or another program
        cannot get Secret hooks/tls: the answer is not an API server's: status 400 without a text: see whether an API server is at the address that is used (server in the kubeconfig), and not a proxy, a load balancer or another program
        cannot get Secret hooks/tls: the API server does not answer: Too many requests, please try again later.
        cannot get Secret hooks/tls: the API server does not answer: it gives no reason (status 500)
        cannot get Secret hooks/tls: the API server does not answer: it gives no reason (status 503)
        cannot list things.example.com: the cluster does not know them: install the thing operator
        ");
    }

    #[test]
    fn a_watch_that_is_refused_and_a_list_that_is_refused_differ() {
        let refused = || kube::Error::Api(Box::new(status(403, "Forbidden", "no")));
        let list =
            Failure::of_watch(things(Scope::AllNamespaces), &watcher::Error::InitialListFailed(refused()));
        let watch =
            Failure::of_watch(things(Scope::AllNamespaces), &watcher::Error::WatchStartFailed(refused()));
        assert_eq!((list.verbs, watch.verbs), (vec!["list"], vec!["watch"]));
    }
}
