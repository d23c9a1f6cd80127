//! What helm makes of single values of the chart.

use crate::alerts::judge;
use crate::chart::{refusal, template, values_file};
use serde_json::{Value, json};
use tests::api_server::ControlPlane;
use tests::api_server::release::{chart, helm_offline};

const NAMESPACE: &str = "kubevirt-sriov";

/// The objects of the release in a namespace, with values as YAML.
fn objects(namespace: &str, values: &str) -> Vec<Value> {
    let (_folder, path) = values_file("values.yaml", values);
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&template(namespace, &["--values", &path])).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The objects of a kind.
fn of_kind(objects: &[Value], kind: &str) -> Vec<Value> {
    objects.iter().filter(|object| object["kind"] == kind).cloned().collect()
}

fn only(objects: &[Value], kind: &str) -> Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}: {found:?}");
    found.into_iter().next().unwrap()
}

/// What a person reads after the installation. helm writes it only where there is a cluster.
fn notes(namespace: &str, values: &str) -> String {
    let (_folder, path) = values_file("values.yaml", values);
    let (chart, cluster) = (chart(), ControlPlane::shared().admin_kubeconfig().display().to_string());
    let release = ["install", "kubevirt-sriov", &chart, "--namespace", namespace, "--values", &path];
    helm_offline(&[&release[..], &["--dry-run=client", "--kubeconfig", &cluster]].concat()).expect_success()
}

#[test]
fn a_namespace_is_left_out_where_that_is_asked_for_or_needed() {
    let all_pods = "decisions: {scope: all-pods}";
    let cases = [
        ("default", "", json!([])),
        (
            "default",
            all_pods,
            json!([
                "default",
                "kube-system",
                "openshift-multus",
                "sriov-network-operator",
                "openshift-sriov-network-operator"
            ]),
        ),
        ("default", "webhook: {excludedNamespaces: [kube-system]}", json!(["kube-system"])),
        (
            NAMESPACE,
            "{webhook: {excludedNamespaces: [registry], systemNamespaces: [operator]},
              decisions: {scope: all-pods, multusNamespace: multus}}",
            json!([NAMESPACE, "multus", "operator", "registry"]),
        ),
    ];
    for (namespace, values, expected) in cases {
        let registration = only(&objects(namespace, values), "MutatingWebhookConfiguration");
        for entry in registration["webhooks"].as_array().unwrap() {
            let expressions = entry["namespaceSelector"]["matchExpressions"].as_array();
            let excluded: Vec<&Value> = expressions
                .into_iter()
                .flatten()
                .filter(|one| one["key"] == "kubernetes.io/metadata.name" && one["operator"] == "NotIn")
                .flat_map(|one| one["values"].as_array().unwrap())
                .collect();
            assert_eq!(json!(excluded), expected, "{namespace}, {values}: {}", entry["name"]);
        }
        let notes = notes(namespace, values);
        let warned =
            notes.contains(" are not reviewed: a virtual machine with networks starts there without its VFs");
        assert_eq!(warned, expected != json!([]), "{namespace}, {values}: {notes}");
    }
    assert!(notes("default", all_pods).contains("WARNING: helm test will fail"));
    assert!(!notes(NAMESPACE, all_pods).contains("WARNING: helm test will fail"));
}

/// The kubelet runs a static pod, whatever is decided about what mirrors it.
#[test]
fn mirror_pods_are_reviewed_by_no_scope() {
    for (values, expected) in [("", 1), ("decisions: {scope: all-pods}", 2)] {
        let registration = only(&objects(NAMESPACE, values), "MutatingWebhookConfiguration");
        let conditions = registration["webhooks"][0]["matchConditions"].as_array().unwrap();
        assert_eq!(conditions.len(), expected, "{values}: {conditions:?}");
    }
}

/// What the final look needs is there with it, and only then; and it looks at the pods that the webhook looks at.
#[test]
fn a_final_look_is_registered_where_it_is_asked_for() {
    let without = objects(NAMESPACE, "");
    assert!(of_kind(&without, "ValidatingWebhookConfiguration").is_empty());
    let permitted = |objects: &[Value]| {
        let roles = of_kind(objects, "ClusterRole");
        let rules =
            roles.iter().find(|role| role["metadata"]["name"] == NAMESPACE).unwrap()["rules"].to_string();
        (rules.contains("validatingwebhookconfigurations"), rules.contains("mutatingwebhookconfigurations"))
    };
    let flags = |objects: &[Value]| {
        let pod = &only(objects, "Deployment")["spec"]["template"]["spec"];
        let flags = pod["containers"][0]["args"].as_array().unwrap().iter();
        let ours = ["--final-look", "--validating-configuration"];
        let text = flags.map(|flag| flag.as_str().unwrap().to_owned());
        text.filter(|flag| ours.iter().any(|one| flag.starts_with(one))).collect::<Vec<_>>()
    };
    assert_eq!((permitted(&without), flags(&without)), ((false, true), Vec::new()));

    let both = "--validating-configuration=kubevirt-sriov";
    for (values, expected, flag, conditions) in [
        ("webhook: {finalLook: {enabled: true}}", "Fail", "--final-look=deny", 1),
        (
            "{webhook: {failurePolicy: Ignore, finalLook: {enabled: true}}, decisions: {scope: all-pods}}",
            "Fail",
            "--final-look=deny",
            1,
        ),
        (
            "{webhook: {finalLook: {enabled: true, action: warn, failurePolicy: Ignore, scope: all-pods}},
              decisions: {scope: all-pods}}",
            "Ignore",
            "--final-look=warn",
            2,
        ),
    ] {
        let objects = objects(NAMESPACE, values);
        assert_eq!(
            (permitted(&objects), flags(&objects)),
            ((true, true), vec![both.to_owned(), flag.to_owned()])
        );
        let last = &only(&objects, "ValidatingWebhookConfiguration")["webhooks"][0];
        let first = &only(&objects, "MutatingWebhookConfiguration")["webhooks"][0];
        assert_eq!(last["failurePolicy"], expected, "{values}");
        assert_eq!(last["clientConfig"]["service"]["path"], "/validate");
        assert_eq!(last["matchConditions"].as_array().unwrap().len(), conditions, "{values}");
        for field in ["rules", "namespaceSelector", "sideEffects", "timeoutSeconds"] {
            assert_eq!(last[field], first[field], "{values}: {field}");
        }
        let label = json!({"matchLabels": {"kubevirt.io": "virt-launcher"}});
        let selected = if conditions == 1 { label } else { Value::Null };
        assert_eq!(last["objectSelector"], selected, "{values}");
    }
    let by_cert_manager =
        objects(NAMESPACE, "{webhook: {finalLook: {enabled: true}}, certificates: {mode: cert-manager}}");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let annotations = &only(&by_cert_manager, kind)["metadata"]["annotations"];
        assert_eq!(
            annotations["cert-manager.io/inject-ca-from"], "kubevirt-sriov/kubevirt-sriov-tls",
            "{kind}"
        );
    }
    // Nobody reads a registration whose bundle comes from elsewhere.
    assert_eq!(permitted(&by_cert_manager), (false, false));
}

#[test]
fn a_registry_of_all_images_replaces_that_of_each() {
    for (values, registry, expected) in [
        ("", "ghcr.io/kubevirt-sriov", ""),
        ("global: {imageRegistry: 'mirror.example:5000'}", "mirror.example:5000/kubevirt-sriov", ""),
        ("global: {imageRegistry: mirror.example/copies}", "mirror.example/copies/kubevirt-sriov", ""),
        (
            "{global: {imageRegistry: mirror.example}, image: {repository: team/webhook}}",
            "mirror.example",
            "team/webhook",
        ),
        (
            "{global: {imageRegistry: mirror.example}, image: {repository: 'localhost/webhook'}}",
            "mirror.example",
            "webhook",
        ),
    ] {
        let deployment = only(&objects(NAMESPACE, values), "Deployment");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let name = if expected.is_empty() { "sriov-webhook" } else { expected };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(container["image"], format!("{registry}/{name}:{version}"), "{values}");
        if expected.is_empty() {
            let helper = format!("--launcher-hook-image={registry}/launcher-hook:{version}");
            assert!(container["args"].as_array().unwrap().contains(&json!(helper)), "{values}: {container}");
        }
    }
}

/// The alerts select by it, and Prometheus Operator names the job of a PodMonitor differently.
#[test]
fn what_prometheus_reads_can_be_where_it_looks() {
    for (value, kind) in [
        ("serviceMonitor", "ServiceMonitor"),
        ("podMonitor", "PodMonitor"),
        ("prometheusRule", "PrometheusRule"),
    ] {
        let own = only(&objects(NAMESPACE, &format!("{value}: {{enabled: true}}")), kind);
        assert_eq!(own["metadata"]["namespace"], NAMESPACE);
        assert!(own["spec"].get("namespaceSelector").is_none(), "{own}");
        let other =
            only(&objects(NAMESPACE, &format!("{value}: {{enabled: true, namespace: monitoring}}")), kind);
        assert_eq!(other["metadata"]["namespace"], "monitoring");
        if kind != "PrometheusRule" {
            assert_eq!(other["spec"]["namespaceSelector"], json!({"matchNames": [NAMESPACE]}));
        }
    }
}

#[test]
fn a_pod_monitor_gives_its_series_the_job_of_a_service_monitor() {
    let values = "podMonitor: {enabled: true, relabelings: [{action: labeldrop, regex: a}]}";
    let monitor = only(&objects(NAMESPACE, values), "PodMonitor");
    let expected = json!([
        {"targetLabel": "job", "replacement": "kubevirt-sriov"},
        {"action": "labeldrop", "regex": "a"},
    ]);
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["relabelings"], expected);
}

#[test]
fn reviews_and_scrapes_come_from_whom_is_named() {
    let values =
        "networkPolicy: {webhookFrom: [{ipBlock: {cidr: 192.0.2.1/32}}], metricsFrom: [{podSelector: {}}]}";
    for (values, reviews, scrapes) in [
        ("", Value::Null, Value::Null),
        (values, json!([{"ipBlock": {"cidr": "192.0.2.1/32"}}]), json!([{"podSelector": {}}])),
    ] {
        let policy = only(&objects(NAMESPACE, values), "NetworkPolicy");
        let from = |port: &str| {
            let mut rules = policy["spec"]["ingress"].as_array().unwrap().iter();
            rules.find(|rule| rule["ports"][0]["port"] == port).unwrap()["from"].clone()
        };
        assert_eq!((from("https"), from("metrics")), (reviews, scrapes), "{values}");
    }
}

/// A certificate that signs itself is trusted from the moment of its making, and the one before it no longer.
#[test]
fn cert_manager_signs_with_a_ca_that_outlives_certificates() {
    let issuers = |values: &str| -> Vec<(Value, Value)> {
        let objects = objects(NAMESPACE, values);
        let certificates = of_kind(&objects, "Certificate");
        let issuers = of_kind(&objects, "Issuer");
        // Up from what the pods mount.
        let mut chain = Vec::new();
        let mut secret = json!("kubevirt-sriov-tls");
        while let Some(certificate) = certificates.iter().find(|one| one["spec"]["secretName"] == secret) {
            let name = &certificate["spec"]["issuerRef"]["name"];
            let issuer = issuers.iter().find(|issuer| &issuer["metadata"]["name"] == name);
            let issuer = issuer.map_or_else(|| name.clone(), |issuer| issuer["spec"].clone());
            secret = issuer.pointer("/ca/secretName").cloned().unwrap_or_default();
            let authority = certificate["spec"]["isCA"].clone();
            chain.push((authority, issuer));
        }
        assert_eq!(chain.len(), certificates.len(), "{certificates:?}");
        let registration = only(&objects, "MutatingWebhookConfiguration");
        let injected = &registration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(injected, "kubevirt-sriov/kubevirt-sriov-tls");
        chain
    };
    let own = "certificates: {mode: cert-manager}";
    let expected = [
        (Value::Null, json!({"ca": {"secretName": "kubevirt-sriov-ca"}})),
        (json!(true), json!({"selfSigned": {}})),
    ];
    assert_eq!(issuers(own), expected);
    let named = "certificates: {mode: cert-manager, certManager: {issuerRef: {name: corporate}}}";
    assert_eq!(issuers(named), [(Value::Null, json!("corporate"))]);
}

/// What YAML would take for a number, a map or a comment stays the text that it is.
#[test]
fn texts_stay_texts() {
    let values = "
fullnameOverride: '123'
nameOverride: '0x1'
priorityClassName: '1e3'
decisions: {resourceAnnotations: ['a: b'], multusNamespace: '42', globalNamespaces: ['7'], namespaceIsolation: true}
log: {level: 'off'}
test: {namespace: '77'}
dashboard: {enabled: true, namespace: '88'}
autoscaling: {enabled: true}
serviceMonitor: {enabled: true}
prometheusRule: {enabled: true}
networkPolicy: {egress: {enabled: true, cidrs: ['::/0']}}
";
    for values in [values, &format!("{values}\ncertificates: {{mode: cert-manager}}")] {
        let objects = objects("123", values);
        for object in &objects {
            let (kind, metadata) = (&object["kind"], &object["metadata"]);
            assert!(metadata["name"].is_string(), "{kind}: {metadata}");
            assert!(metadata["namespace"].is_string() || metadata.get("namespace").is_none(), "{metadata}");
            for part in ["labels", "annotations"] {
                for (key, value) in metadata[part].as_object().into_iter().flatten() {
                    assert!(value.is_string(), "{kind} {key}: {value}");
                }
            }
        }
        let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["priorityClassName"], "1e3");
        let arguments = pod["containers"][0]["args"].as_array().unwrap();
        assert!(arguments.iter().all(Value::is_string), "{arguments:?}");
        for expected in ["--resource-annotation=a: b", "--log-level=off", "--multus-namespace=42"] {
            assert!(arguments.contains(&json!(expected)), "no {expected} in {arguments:?}");
        }
        let registration = only(&objects, "MutatingWebhookConfiguration");
        let service = &registration["webhooks"][0]["clientConfig"]["service"];
        assert_eq!((&service["name"], &service["namespace"]), (&json!("123"), &json!("123")));
        let egress = &only(&objects, "NetworkPolicy")["spec"]["egress"][0];
        assert_eq!(egress["to"][0]["ipBlock"]["cidr"], "::/0");
    }
}

#[test]
fn no_label_of_a_user_replaces_one_of_the_chart() {
    let values = "
commonLabels: {app.kubernetes.io/name: common, team: common, zone: common}
podLabels: {app.kubernetes.io/component: pods, team: pods}
podAnnotations: {kubectl.kubernetes.io/default-container: other, note: pods}
webhook: {annotations: {cert-manager.io/inject-ca-from: other, note: registration}}
certificates: {mode: cert-manager}
dashboard: {enabled: true, labels: {team: dashboard, app.kubernetes.io/instance: dashboard}}
";
    let objects = objects(NAMESPACE, values);
    for object in &objects {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "kubevirt-sriov", "{object}");
        assert_eq!(labels["zone"], "common", "{object}");
    }
    let deployment = only(&objects, "Deployment");
    let template = &deployment["spec"]["template"]["metadata"];
    for (key, value) in deployment["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&template["labels"][key], value, "{key}");
    }
    assert_eq!(template["labels"]["team"], "pods");
    assert_eq!(template["annotations"]["kubectl.kubernetes.io/default-container"], "webhook");
    assert_eq!(template["annotations"]["note"], "pods");
    let registration = &only(&objects, "MutatingWebhookConfiguration")["metadata"];
    let own = "kubevirt-sriov/kubevirt-sriov-tls";
    assert_eq!(
        registration["annotations"],
        json!({"cert-manager.io/inject-ca-from": own, "note": "registration"})
    );
    let dashboard = &only(&objects, "ConfigMap")["metadata"]["labels"];
    assert_eq!(dashboard["team"], "dashboard");
    assert_eq!(dashboard["app.kubernetes.io/instance"], "kubevirt-sriov");
}

#[test]
fn values_that_do_not_go_together_are_refused_with_a_sentence() {
    let cases = [
        (
            "autoscaling: {enabled: true, minReplicas: 9, maxReplicas: 2}",
            "autoscaling.minReplicas is 9, more than autoscaling.maxReplicas, 2: raise the latter",
        ),
        ("server: {port: 8080}", "server.port and server.adminPort are both 8080: give two ports"),
        (
            "certificates: {managed: {lifetime: 30s}}",
            "certificates.managed.lifetime is 30s, which ends before anybody renews it: give at least 1m",
        ),
        (
            "certificates: {managed: {caLifetime: 101y}}",
            "certificates.managed.caLifetime is 101y, longer than 100 years: give a shorter one",
        ),
        (
            "certificates: {managed: {lifetime: 10m, caLifetime: 15m, renewAt: 0.5, caSettle: 1m}}",
            "certificates.managed.caLifetime is 15m, too short for certificates of 10m: what is left of it at \
             renewAt, 0.5, must hold a whole one; give at least 1200s",
        ),
        (
            "certificates: {managed: {lifetime: 10m, renewAt: 0.5}}",
            "certificates.managed.caSettle is 5m, and certificates of 10m would end meanwhile: give at most 150s",
        ),
        (
            "certificates: {mode: cert-manager, certManager: {duration: 1h30m, renewBefore: 90m}}",
            "certificates.certManager.renewBefore is 90m, and duration is 1h30m: a certificate would always be due; \
             give less",
        ),
        (
            "certificates: {mode: cert-manager, certManager: {caDuration: 2160h}}",
            "certificates.certManager.caDuration is 2160h, and duration is 2160h: the CA would end before what it \
             signs; give three times as much at least",
        ),
        (
            "test: {enabled: false, afterInstall: true}",
            "test.afterInstall is true and test.enabled is false: the check is a part of the test; enable it, or \
             disable the check",
        ),
        (
            "{test: {afterInstall: true}, webhook: {excludedNamespaces: [default]}}",
            "test.afterInstall is true and test.namespace is default, whose pods are not reviewed \
             (webhook.excludedNamespaces, decisions.scope): the check would fail; name another namespace",
        ),
    ];
    for (values, sentence) in cases {
        let refusal = refusal(values);
        assert!(refusal.contains(sentence), "{values}: {refusal}");
    }
    // What is not used may be anything.
    let unused = "certificates: {mode: cert-manager, managed: {caLifetime: 1h}}";
    assert!(!objects(NAMESPACE, unused).is_empty());
}

#[test]
fn without_events_nothing_is_granted_for_them() {
    for (values, expected) in [("", true), ("webhook: {events: false}", false)] {
        let objects = objects(NAMESPACE, values);
        let roles = of_kind(&objects, "ClusterRole");
        let role = roles.iter().find(|role| role["metadata"]["name"] == "kubevirt-sriov").unwrap();
        let rules = role["rules"].to_string();
        let granted = rules.contains("\"events\"");
        assert_eq!(rules.contains("virtualmachineinstances"), granted, "{values}");
        let container = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
        let switched_off = container["args"].as_array().unwrap().contains(&json!("--no-vmi-events"));
        assert_eq!((granted, switched_off), (expected, !expected), "{values}");
    }
}

/// On a node the ports of the pod that is replaced are free only when it has ended.
#[test]
fn pods_in_the_network_of_their_nodes_have_ports_of_their_own() {
    let values =
        "{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, server: {port: 9443, adminPort: 9080}}";
    let deployment = only(&objects(NAMESPACE, values), "Deployment");
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(rolling, &json!({"maxUnavailable": 1, "maxSurge": 0}));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!((&pod["hostNetwork"], &pod["dnsPolicy"]), (&json!(true), &json!("ClusterFirstWithHostNet")));
    let container = &pod["containers"][0];
    let ports = json!([{"name": "https", "containerPort": 9443}, {"name": "metrics", "containerPort": 9080}]);
    assert_eq!(container["ports"], ports);
    for argument in ["--listen=0.0.0.0:9443", "--admin-listen=0.0.0.0:9080"] {
        assert!(container["args"].as_array().unwrap().contains(&json!(argument)), "{container}");
    }
}

#[test]
fn what_the_chart_does_not_know_of_can_be_mounted_and_set() {
    let own = "
extraEnv: [{name: RUST_BACKTRACE, value: '1'}]
extraVolumes: [{name: client-ca, configMap: {name: api-server-client-ca}}]
extraVolumeMounts: [{name: client-ca, mountPath: /etc/client-ca, readOnly: true}]
";
    for (mode, among) in [("managed", 1), ("cert-manager", 2)] {
        let objects = objects(NAMESPACE, &format!("{own}certificates: {{mode: {mode}}}"));
        let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let has = |list: &Value, name: &str| list.as_array().unwrap().iter().any(|one| one["name"] == name);
        assert!(has(&container["env"], "RUST_BACKTRACE") && has(&container["env"], "TOKIO_WORKER_THREADS"));
        for list in [&pod["volumes"], &container["volumeMounts"]] {
            assert!(has(list, "client-ca"), "{list}");
            assert_eq!(list.as_array().unwrap().len(), among, "{list}");
        }
    }
}

/// An alert that comes before the renewal is due would never go.
#[test]
fn the_alert_of_an_ending_certificate_knows_when_that_is_renewed() {
    let cases = [
        ("", "604800"),
        ("certificates: {managed: {lifetime: 6d, renewAt: 0.5}}", "129600"),
        ("certificates: {mode: cert-manager, certManager: {duration: 24h, renewBefore: 8h}}", "14400"),
        ("prometheusRule: {certificateEnding: 1d}", "86400"),
    ];
    for (values, seconds) in cases {
        let (_folder, path) = values_file("values.yaml", values);
        let rendered = template(NAMESPACE, &["--values", &path, "--set", "prometheusRule.enabled=true"]);
        let expected = format!(" - time() < {seconds}\n");
        assert!(rendered.contains(&expected), "{values}: no {expected} in {rendered}");
    }
}

/// Several releases in a cluster, and Prometheus servers that name their targets in another way.
#[test]
fn alerts_look_at_the_series_of_their_own_release() {
    let by_default = r#"namespace="canary",job="kubevirt-sriov""#;
    let cases = [
        ("{}", by_default, Some("< 2")),
        ("replicas: 5", by_default, Some("< 5")),
        ("replicas: 1", by_default, None),
        ("{replicas: 1, autoscaling: {enabled: true, minReplicas: 3}}", by_default, Some("< 3")),
        ("fullnameOverride: vfs", r#"namespace="canary",job="vfs""#, Some("< 2")),
        (r#"prometheusRule: {matchers: 'job=~"sriov-.*"'}"#, r#"job=~"sriov-.*""#, Some("< 2")),
    ];
    for (values, matchers, fewest) in cases {
        let (_folder, path) = values_file("values.yaml", values);
        let rendered = template("canary", &["--values", &path, "--set", "prometheusRule.enabled=true"]);
        let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
        let rule = documents.iter().find(|document| document["kind"] == "PrometheusRule").unwrap();
        let rules = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
        for rule in rules {
            let expression = rule["expr"].as_str().unwrap();
            let selectors = expression.matches("sriov_webhook_").count();
            assert_eq!(expression.matches(matchers).count(), selectors, "{values}: {expression}");
        }
        let missing = rules.iter().find(|rule| rule["alert"] == "SriovWebhookReplicaMissing");
        let bound = missing.map(|rule| rule["expr"].as_str().unwrap());
        assert_eq!(bound.is_some(), fewest.is_some(), "{values}: {bound:?}");
        assert!(bound.unwrap_or_default().ends_with(fewest.unwrap_or_default()), "{values}: {bound:?}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), rule["spec"].to_string()).unwrap();
        judge(&["check", "rules", file.path().to_str().unwrap()]);
    }
}
