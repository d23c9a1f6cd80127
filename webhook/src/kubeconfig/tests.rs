use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kube::config::ExecInteractiveMode;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn around() -> Surroundings {
    Surroundings {
        proxies: Proxies::default(),
        is_terminal: false,
        now: Timestamp::from_second(NOW).unwrap(),
    }
}

/// A kubeconfig with one cluster and one user.
fn kubeconfig(cluster: &Value, user: &Value) -> Kubeconfig {
    let value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "contexts": [
            {"name": "lab", "context": {"cluster": "lab", "user": "ann", "namespace": "vms"}},
            {"name": "no-cluster", "context": {"cluster": "gone", "user": "ann"}},
            {"name": "no-user", "context": {"cluster": "lab", "user": "gone"}},
            {"name": "anonymous", "context": {"cluster": "lab"}},
        ],
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "ann", "user": user}],
    });
    serde_json::from_value(value).unwrap()
}

fn server() -> Value {
    json!({"server": "https://lab.example:6443"})
}

fn said(kubeconfig: Kubeconfig, context: Option<&str>) -> String {
    select(kubeconfig, context, &around()).map_or_else(|problem| problem.to_string(), |_| "fine".to_owned())
}

#[test]
fn what_is_missing_is_named() {
    let fine = || kubeconfig(&server(), &json!({"token": "t"}));
    let no_current = |name: Option<&str>| Kubeconfig { current_context: name.map(str::to_owned), ..fine() };
    let lines = [
        said(fine(), None),
        said(fine(), Some("anonymous")),
        said(fine(), Some("lba")),
        said(fine(), Some("no-cluster")),
        said(fine(), Some("no-user")),
        said(no_current(None), None),
        said(no_current(Some("")), None),
        said(no_current(Some("")), Some("lab")),
        said(Kubeconfig::default(), None),
        said(Kubeconfig::default(), Some("lab")),
        said(kubeconfig(&json!({}), &json!({})), None),
        said(kubeconfig(&json!({"server": ""}), &json!({})), None),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

/// A token that expires `seconds` from now.
fn token(seconds: i64) -> String {
    let claims = json!({"sub": "ann", "exp": NOW + seconds}).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn oidc(config: &Value) -> Kubeconfig {
    kubeconfig(&server(), &json!({"auth-provider": {"name": "oidc", "config": config}}))
}

#[test]
fn an_oidc_login_is_used_renewed_or_refused_with_a_reason() {
    let renewable = |more: &Value| {
        let mut config = json!({
            "id-token": token(-5), "refresh-token": "r", "client-id": "c", "idp-issuer-url": "https://issuer.example",
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        oidc(&config)
    };
    let fraction = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{}.5}}", NOW + 60)));
    let note = |kubeconfig: Kubeconfig| match select(kubeconfig, None, &around()) {
        Ok(selected) => selected.note.unwrap_or_else(|| "fine".to_owned()),
        Err(problem) => problem.to_string(),
    };
    let lines = [
        note(oidc(&json!({"id-token": token(60)}))),
        note(oidc(&json!({"id-token": fraction}))),
        note(oidc(&json!({"id-token": token(9)}))),
        note(oidc(&json!({}))),
        note(oidc(&json!({"id-token": ""}))),
        note(oidc(&json!({"id-token": "opaque"}))),
        note(oidc(&json!({"id-token": "e30.e30.c2ln"}))),
        note(renewable(&json!({}))),
        note(renewable(&json!({"idp-certificate-authority-data": "YQ=="}))),
        note(renewable(&json!({"idp-certificate-authority": "/ca.pem"}))),
        note(kubeconfig(&server(), &json!({"auth-provider": {"name": "gcp", "config": {}}}))),
        note(kubeconfig(&server(), &json!({"auth-provider": {"name": "azure"}}))),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_public_client_of_an_issuer_has_an_empty_secret() {
    let config =
        json!({"id-token": token(0), "refresh-token": "r", "client-id": "c", "idp-issuer-url": "https://i"});
    let selected = select(oidc(&config), None, &around()).unwrap();
    let login = selected.kubeconfig.auth_infos[0].auth_info.clone().unwrap();
    assert_eq!(login.auth_provider.unwrap().config["client-secret"], "");
}

#[rstest]
#[case::nothing_said(None, false, Some(ExecInteractiveMode::Never))]
#[case::nothing_said_at_a_terminal(None, true, None)]
#[case::if_available(Some("IfAvailable"), false, Some(ExecInteractiveMode::Never))]
#[case::if_available_at_a_terminal(Some("IfAvailable"), true, Some(ExecInteractiveMode::IfAvailable))]
#[case::never_at_a_terminal(Some("Never"), true, Some(ExecInteractiveMode::Never))]
#[case::always_at_a_terminal(Some("Always"), true, Some(ExecInteractiveMode::Always))]
fn a_plugin_reads_from_a_terminal_only(
    #[case] mode: Option<&str>,
    #[case] is_terminal: bool,
    #[case] expected: Option<ExecInteractiveMode>,
) {
    let mut exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "log-in"});
    if let Some(mode) = mode {
        exec["interactiveMode"] = json!(mode);
    }
    let around = Surroundings { is_terminal, ..around() };
    let selected = select(kubeconfig(&server(), &json!({"exec": exec})), None, &around).unwrap();
    let login = selected.kubeconfig.auth_infos[0].auth_info.clone().unwrap();
    assert_eq!(login.exec.unwrap().interactive_mode, expected);
}

#[test]
fn a_plugin_that_must_talk_to_a_person_is_refused_without_one() {
    let exec = json!({"command": "log-in", "interactiveMode": "Always"});
    insta::assert_snapshot!(said(kubeconfig(&server(), &json!({"exec": exec})), None), @r#"user "ann" logs in with the plugin "log-in", which needs a terminal (interactiveMode: Always), and standard input is not one: start this at a terminal, without a file on standard input"#);
}

#[rstest]
#[case::none("https://lab.example:6443", None, ["", "", ""], Ok(None))]
#[case::own("https://lab.example:6443", Some("http://proxy.example:3128"), ["", "", ""], Ok(Some("http://proxy.example:3128/")))]
#[case::own_whatever_no_proxy_says("https://lab.example:6443", Some("http://proxy.example:3128"), ["", "", "*"], Ok(Some("http://proxy.example:3128/")))]
#[case::own_before_the_environment("https://lab.example:6443", Some("socks5://proxy.example:1080"), ["http://other.example", "", ""], Ok(Some("socks5://proxy.example:1080/")))]
#[case::own_even_to_loopback("https://127.0.0.1:6443", Some("https://proxy.example"), ["", "", ""], Ok(Some("https://proxy.example/")))]
#[case::own_is_empty("https://lab.example:6443", Some(""), ["http://other.example", "", ""], Ok(Some("http://other.example/")))]
#[case::own_of_another_kind("https://lab.example:6443", Some("ftp://proxy.example"), ["", "", ""], Err("the proxy-url of the kubeconfig's cluster"))]
#[case::own_without_a_scheme("https://lab.example:6443", Some("proxy.example:3128"), ["", "", ""], Err("the proxy-url of the kubeconfig's cluster"))]
#[case::environment("https://lab.example:6443", None, ["http://ann:secret@other.example:1", "http://third.example", ""], Ok(Some("http://ann:secret@other.example:1/")))]
#[case::environment_without_a_scheme("https://lab.example:6443", None, ["other.example:1", "", ""], Ok(Some("http://other.example:1/")))]
#[case::environment_for_http("http://lab.example:6443", None, ["http://other.example", "http://third.example", ""], Ok(Some("http://third.example/")))]
#[case::environment_of_another_kind("https://lab.example:6443", None, ["gopher://other.example", "", ""], Err("HTTPS_PROXY"))]
#[case::not_to_this_domain("https://lab.example:6443", None, ["http://other.example", "", "foo,,.example"], Ok(None))]
#[case::not_to_this_network("https://10.0.0.1:6443", None, ["http://other.example", "", "10.0.0.0/8"], Ok(None))]
#[case::to_another_network("https://10.0.0.1:6443", None, ["http://other.example", "", "192.168.0.0/16"], Ok(Some("http://other.example/")))]
#[case::not_to_loopback("https://127.0.0.1:6443", None, ["http://other.example", "", ""], Ok(None))]
#[case::not_to_loopback_by_ipv6("https://[::1]:6443", None, ["http://other.example", "", ""], Ok(None))]
#[case::not_to_localhost("https://localhost:6443", None, ["http://other.example", "", ""], Ok(None))]
fn the_proxy_is_the_one_that_kubectl_uses(
    #[case] server: &str,
    #[case] own: Option<&str>,
    #[case] around_us: [&str; 3],
    #[case] expected: Result<Option<&str>, &str>,
) {
    let mut cluster = json!({"server": server});
    if let Some(own) = own {
        cluster["proxy-url"] = json!(own);
    }
    let [https, http, none_for] = around_us;
    let proxies = Proxies { https: https.to_owned(), http: http.to_owned(), none_for: none_for.to_owned() };
    let around = Surroundings { proxies, ..around() };
    let found = select(kubeconfig(&cluster, &json!({"token": "t"})), None, &around);
    let found = found.map(|selected| selected.proxy.map(|url| url.to_string()));
    let expected = match expected {
        Ok(url) => Ok(url.map(str::to_owned)),
        Err(origin) => Err(Problem::Proxy { origin: origin.to_owned() }),
    };
    assert_eq!(found, expected);
    if let Err(problem) = found {
        assert!(!problem.to_string().contains("example"), "{problem}");
    }
}
