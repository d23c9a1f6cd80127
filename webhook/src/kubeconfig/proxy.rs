//! The proxy between us and an API server: the kubeconfig's, or the environment's, as kubectl chooses it.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use super::Problem;

/// What kube can talk to.
const SCHEMES: [&str; 3] = ["http", "https", "socks5"];

/// The environment's proxies; empty if they are not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies {
    /// `HTTPS_PROXY`: for API servers with https.
    pub(crate) https: String,
    /// `HTTP_PROXY`: for API servers with http.
    pub(crate) http: String,
    /// `NO_PROXY`: hosts to which there is none.
    pub(crate) none_for: String,
}

impl Proxies {
    /// Reads the variables, in capitals or small letters.
    pub(crate) fn from_env() -> Self {
        let one = |name: &str| {
            let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            set(name).or_else(|| set(&name.to_lowercase())).unwrap_or_default()
        };
        Self { https: one("HTTPS_PROXY"), http: one("HTTP_PROXY"), none_for: one("NO_PROXY") }
    }
}

/// The proxy for `server`. `NO_PROXY` does not count for the kubeconfig's own, which is for this cluster alone.
pub(super) fn proxy(own: Option<&str>, server: &str, around: &Proxies) -> Result<Option<Uri>, Problem> {
    if let Some(url) = own.filter(|url| !url.is_empty()) {
        return parsed(url).map(Some).ok_or_else(|| Problem::Proxy {
            origin: "the proxy-url of the kubeconfig's cluster".to_owned(),
        });
    }
    // What is wrong with the server's URL is said by kube, which connects to it.
    let Ok(server) = server.parse::<Uri>() else { return Ok(None) };
    let (variable, value) = match server.scheme_str() {
        Some("http") => ("HTTP_PROXY", &around.http),
        _ => ("HTTPS_PROXY", &around.https),
    };
    if value.is_empty() || is_direct(&server, &around.none_for) {
        return Ok(None);
    }
    // Without a scheme it is a host and a port that speaks HTTP.
    let url = if value.contains("://") { value.clone() } else { format!("http://{value}") };
    parsed(&url).map(Some).ok_or_else(|| Problem::Proxy { origin: variable.to_owned() })
}

fn parsed(url: &str) -> Option<Uri> {
    let url: Uri = url.parse().ok()?;
    (url.host().is_some() && SCHEMES.contains(&url.scheme_str()?)).then_some(url)
}

fn is_direct(server: &Uri, none_for: &str) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost",
    };
    // Only whether it would intercept counts here, not where it would lead.
    is_loopback || Matcher::builder().all("http://proxy").no(none_for).build().intercept(server).is_none()
}
