//! Logins that are more than a token or a certificate: plugins and OIDC.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use kube::client::AuthError;
use kube::config::{AuthInfo, AuthProviderConfig, ExecConfig, ExecInteractiveMode};
use serde_json::Value;

use super::{Problem, Surroundings};

/// JSON Web Tokens leave the padding out.
const JWT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// kube renews a token this many seconds before it expires.
const EARLY: i64 = 10;

/// How much of what a plugin complains about is repeated.
const LONGEST_COMPLAINT: usize = 500;

/// Makes the login one that kube understands as kubectl does. Returns what a person should know.
pub(super) fn complete(
    user: &str,
    login: &mut AuthInfo,
    around: &Surroundings,
) -> Result<Option<String>, Problem> {
    if let Some(exec) = &mut login.exec {
        interact(user, exec, around.is_terminal)?;
    }
    let Some(provider) = &mut login.auth_provider else { return Ok(None) };
    if provider.name != "oidc" {
        return Err(Problem::Provider { user: user.to_owned(), provider: provider.name.clone() });
    }
    oidc(user, provider, around)
}

/// kube lets every plugin but one with `Never` read from standard input. kubectl does so at a terminal only, so that a
/// plugin does not read what is meant for the command.
fn interact(user: &str, exec: &mut ExecConfig, is_terminal: bool) -> Result<(), Problem> {
    if is_terminal {
        return Ok(());
    }
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        let command = exec.command.clone().unwrap_or_default();
        return Err(Problem::NeedsTerminal { user: user.to_owned(), command });
    }
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    Ok(())
}

fn oidc(
    user: &str,
    provider: &mut AuthProviderConfig,
    around: &Surroundings,
) -> Result<Option<String>, Problem> {
    let config = &mut provider.config;
    let has = |config: &std::collections::HashMap<String, String>, key: &str| {
        config.get(key).is_some_and(|value| !value.is_empty())
    };
    let wrong = |reason| Problem::IdToken { user: user.to_owned(), reason };
    if !has(config, "id-token") {
        return Err(wrong("there is none"));
    }
    let expires = config.get("id-token").and_then(|token| expiry(token));
    let expires = expires.ok_or_else(|| wrong("it does not say when it expires"))?;
    if around.now.as_second().saturating_add(EARLY) < expires {
        return Ok(None);
    }
    let expired = |reason, remedy| Problem::Expired { user: user.to_owned(), reason, remedy };
    if !has(config, "refresh-token") {
        return Err(expired("there is no refresh-token", "log in again"));
    }
    if has(config, "idp-certificate-authority") || has(config, "idp-certificate-authority-data") {
        return Err(expired(
            "its issuer has a certificate authority of its own (idp-certificate-authority), with which only kubectl renews it",
            "run `kubectl version`",
        ));
    }
    // A public client has none, and kube wants one.
    config.entry("client-secret".to_owned()).or_default();
    Ok(Some(format!(
        "the id-token of user {user:?} has expired: a new one is requested and not stored; `kubectl version` stores one"
    )))
}

/// The second at which a JSON Web Token expires.
fn expiry(token: &str) -> Option<i64> {
    let claims = JWT.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let expires = claims.get("exp")?;
    // Some issuers write a fraction.
    #[expect(clippy::cast_possible_truncation, reason = "seconds as i64; a fraction does not count")]
    expires.as_i64().or_else(|| expires.as_f64().map(|seconds| seconds as i64))
}

/// What kube says of a login that failed, in a sentence; `None` if it is about something else.
pub(crate) fn refused(error: &kube::Error, exec: Option<&ExecConfig>) -> Option<String> {
    let kube::Error::Auth(error) = error else { return None };
    let command = exec.and_then(|exec| exec.command.as_deref()).unwrap_or_default();
    Some(match error {
        AuthError::AuthExecStart(problem) => {
            let hint = exec.and_then(|exec| exec.install_hint.as_deref()).map(str::trim);
            let hint =
                hint.filter(|hint| !hint.is_empty()).unwrap_or("install it, or correct users[].user.exec");
            format!("cannot run the login plugin {command:?}: {problem}: {hint}")
        }
        AuthError::AuthExecRun { out, .. } => {
            let said = String::from_utf8_lossy(&out.stderr);
            let said: String = said.trim().chars().take(LONGEST_COMPLAINT).collect();
            let said = if said.is_empty() { "it says nothing, or said it above" } else { &said };
            format!("the login plugin {command:?} failed ({}): {said}", out.status)
        }
        AuthError::AuthExecParse(problem) => {
            format!("the login plugin {command:?} printed what is not an ExecCredential: {problem}")
        }
        AuthError::ExecPluginFailed => {
            format!(
                "the login plugin {command:?} printed an ExecCredential without a status: see its documentation"
            )
        }
        error => format!("cannot log in: {error}"),
    })
}
