//! What helm makes of the chart, and what a real API server makes of that.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use tests::api_server::release::{chart, helm_offline, install_fake_crds};
use tests::api_server::{ControlPlane, manifest};

const KUBERNETES: &str = "1.36.0";
const EVERYTHING: &str = "autoscaling.enabled=true,networkPolicy.egress.enabled=true,serviceMonitor.enabled=true,\
                          prometheusRule.enabled=true,dashboard.enabled=true,decisions.namespaceIsolation=true,\
                          decisions.scope=all-pods,launcherHook.mode=compute,shutdown.preStopSleepSeconds=3,\
                          service.ipFamilyPolicy=PreferDualStack,server.address=::,webhook.reinvocationPolicy=Never,\
                          decisions.onUnresolved=warn,log.format=text,resourceQuota.enabled=true,\
                          networkPolicy.cilium.enabled=true,runtimeClassName=gvisor,test.afterInstall=true";
const NOTHING: &str = "serviceAccount.create=false,rbac.create=false,podDisruptionBudget.enabled=false,\
                       networkPolicy.enabled=false,test.enabled=false,webhook.vmis=false,priorityClassName=,\
                       webhook.failurePolicy=Ignore,replicas=1";
/// Values that no `--set` writes well.
const PARTS: &str = r#"
commonLabels: {team: virtualization}
imagePullSecrets: [{name: pull}]
image: {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
nodeSelector: {node-role.kubernetes.io/control-plane: ""}
tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}]
affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: a, operator: Exists}]}}]}}
topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {c: d}}}]
podAnnotations: {a: b}
podLabels: {c: d}
extraArgs: [--client-ca=/etc/client-ca/ca.crt]
extraEnv: [{name: RUST_BACKTRACE, value: "1"}]
extraVolumes: [{name: client-ca, configMap: {name: api-server-client-ca}}]
extraVolumeMounts: [{name: client-ca, mountPath: /etc/client-ca, readOnly: true}]
hostNetwork: true
serviceAccount: {annotations: {e: f}}
service: {annotations: {g: h}, ipFamilies: [IPv4]}
webhook:
  annotations: {i: j}
  excludedNamespaces: [kube-system]
  namespaceSelector: {matchLabels: {k: l}, matchExpressions: [{key: m, operator: Exists}]}
  extraMatchConditions: [{name: no-windows, expression: "!has(object.spec.os) || object.spec.os.name != 'windows'"}]
decisions: {resourceAnnotations: [k8s.v1.cni.cncf.io/resourceName, example.com/resource]}
launcherHook: {arguments: [--assign=multus], imagePullSecret: pull}
networkPolicy: {webhookFrom: [{ipBlock: {cidr: 192.0.2.1/32}}], metricsFrom: [{namespaceSelector: {matchLabels: {n: o}}}], egress: {enabled: true, cidrs: [10.0.0.0/8]}}
serviceMonitor: {labels: {p: q}, scrapeTimeout: 10s, namespace: default, relabelings: [{targetLabel: cluster, replacement: here}], metricRelabelings: [{action: labeldrop, regex: b}]}
prometheusRule: {labels: {r: s}, namespace: default}
dashboard: {annotations: {t: u}}
podDisruptionBudget: {maxUnavailable: 50%}
global: {imageRegistry: "mirror.example:5000"}
strategy: {type: Recreate}
dnsConfig: {options: [{name: ndots, value: "1"}]}
deploymentAnnotations: {v: w}
probes: {liveness: {periodSeconds: 20}, readiness: {failureThreshold: 3}}
extraObjects:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: as-object, namespace: "{{ .Release.Namespace }}"}}
  - |
    apiVersion: v1
    kind: Secret
    metadata: {name: as-text, namespace: {{ .Release.Namespace }}}
"#;
const POD_MONITOR: &str = r"
podMonitor:
  enabled: true
  namespace: default
  scrapeTimeout: 10s
  labels: {p: q}
  relabelings: [{action: labeldrop, regex: a}]
  metricRelabelings: [{action: drop, sourceLabels: [__name__], regex: process_.*}]
";
const OWN_SECRET: &str = r"
certificates:
  mode: secret
  secret: {name: my-tls, caBundle: '-----BEGIN CERTIFICATE-----'}
";

pub(crate) fn template(namespace: &str, arguments: &[&str]) -> String {
    let common =
        ["template", "kubevirt-sriov", &chart(), "--namespace", namespace, "--kube-version", KUBERNETES];
    helm_offline(&[&common[..], arguments].concat()).expect_success()
}

pub(crate) fn values_file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn the_api_server_takes_every_object_of_the_chart() {
    let kubectl = ControlPlane::shared().kubectl();
    install_fake_crds(&kubectl);
    let namespace = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"chart-system"}}"#;
    kubectl.apply(namespace).expect_success();
    let (_folder, parts) = values_file("parts.yaml", PARTS);
    let (_other, own_secret) = values_file("own-secret.yaml", OWN_SECRET);
    let issuer = "certificates.mode=cert-manager,certificates.certManager.issuerRef.name=ca";
    let (_third, pod_monitor) = values_file("pod-monitor.yaml", POD_MONITOR);
    let ha = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/values-ha.yaml");
    let gitops = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/values-gitops.yaml");
    let cases: [(&str, &[&str], &str); 10] = [
        ("as it is", &[], "deployment"),
        (
            "everything",
            &["--set", EVERYTHING],
            "horizontalpodautoscaler servicemonitor prometheusrule configmap resourcequota ciliumnetworkpolicy job",
        ),
        ("as little as there is", &["--set", NOTHING], "mutatingwebhookconfiguration"),
        (
            "every part",
            &["--values", &parts, "--set", EVERYTHING],
            "networkpolicy poddisruptionbudget pod secret",
        ),
        ("cert-manager", &["--set", "certificates.mode=cert-manager"], "certificate issuer"),
        ("cert-manager with an issuer", &["--set", issuer], "certificate"),
        ("a Secret of one's own", &["--values", &own_secret], "service"),
        ("a PodMonitor", &["--values", &pod_monitor], "podmonitor"),
        ("highly available", &["--values", ha], "poddisruptionbudget servicemonitor prometheusrule"),
        ("by a GitOps controller", &["--values", gitops], "deployment"),
    ];
    for (case, arguments, among) in cases {
        let rendered = template("chart-system", arguments);
        let output = kubectl.apply_dry_run(&rendered);
        assert!(output.success(), "{case}: {}", output.stderr);
        assert!(!output.stderr.contains("Warning"), "{case}: {}", output.stderr);
        let taken: Vec<&str> =
            output.stdout.lines().filter(|line| line.ends_with("(server dry run)")).collect();
        assert_eq!(taken.len(), rendered.matches("\nkind: ").count(), "{case}: {}", output.stdout);
        for kind in among.split(' ') {
            let found = taken.iter().any(|line| line.split(['.', '/']).next() == Some(kind));
            assert!(found, "{case}: no {kind} in {}", output.stdout);
        }
    }
}

#[test]
fn helm_finds_no_fault_with_the_chart() {
    let (_folder, parts) = values_file("parts.yaml", PARTS);
    for arguments in [&[][..], &["--set", EVERYTHING], &["--set", NOTHING], &["--values", &parts]] {
        let output = helm_offline(&[&["lint", "--strict", &chart()], arguments].concat());
        assert!(output.success(), "{arguments:?}: {}{}", output.stdout, output.stderr);
    }
}

/// Each yes or no, and each choice, by itself: what it changes is no more than what it is about.
#[test]
fn every_switch_works_by_itself() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(format!("{}/values.schema.json", chart())).unwrap())
            .unwrap();
    let values: Value =
        serde_saphyr::from_str(&fs::read_to_string(format!("{}/values.yaml", chart())).unwrap()).unwrap();
    let mut switches = 0;
    for (path, part) in leaves(&schema) {
        let default = &values.pointer(&format!("/{}", path.replace('.', "/"))).unwrap();
        let choices: Vec<Value> = match (&part["type"], part["enum"].as_array()) {
            (Value::String(kind), _) if kind == "boolean" => vec![json!(true), json!(false)],
            (_, Some(choices)) => choices.clone(),
            _ => continue,
        };
        // Of use in that scope only.
        let beside: &[&str] = match path.as_str() {
            "decisions.podnetinfo" => &["--set", "decisions.scope=all-pods"],
            path if path.starts_with("webhook.finalLook.") && path != "webhook.finalLook.enabled" => {
                &["--set", "decisions.scope=all-pods,webhook.finalLook.enabled=true"]
            }
            _ => &[],
        };
        let usual = template("chart-system", beside);
        // It needs the two values beside it; the test above has it.
        for choice in choices.iter().filter(|choice| choice != default && *choice != "secret") {
            let set = format!("{path}={choice}");
            let rendered = template("chart-system", &[beside, &["--set-json", &set]].concat());
            // What a switched-off part contains, and what namespace isolation is about, shows elsewhere.
            assert_ne!(rendered, usual, "{set} changes nothing");
            switches += 1;
        }
    }
    assert!(switches > 20, "only {switches} switches found");
}

/// Every value of the schema with its path.
fn leaves(schema: &Value) -> BTreeMap<String, Value> {
    fn walk(schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
        match schema.get("properties").and_then(Value::as_object) {
            Some(parts) => {
                for (name, part) in parts {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(part, &path, found);
                }
            }
            None => drop(found.insert(path.to_owned(), schema.clone())),
        }
    }
    let mut found = BTreeMap::new();
    walk(schema, "", &mut found);
    found
}

pub(crate) fn refusal(values: &str) -> String {
    let (_folder, path) = values_file("wrong.yaml", values);
    let (chart, common) = (chart(), ["--kube-version", KUBERNETES, "--values", &path]);
    helm_offline(&[&["template", "wrong", &chart], &common[..]].concat()).expect_failure()
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_whichever_it_is() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(format!("{}/values.schema.json", chart())).unwrap())
            .unwrap();
    let mut wrong = json!({});
    let leaves = leaves(&schema);
    for path in leaves.keys() {
        let mut place = &mut wrong;
        for part in path.split('.') {
            place = &mut place[part];
        }
        // Of no value's kind, and none of any choice.
        *place = json!(-0.5);
    }
    let refusal = refusal(&wrong.to_string());
    for path in leaves.keys() {
        let named = format!("at '/{}':", path.replace('.', "/"));
        assert!(refusal.contains(&named), "{path} = -0.5 is not refused: {refusal}");
    }
}

#[test]
fn a_value_that_cannot_work_is_refused_by_its_name() {
    let cases = [
        ("replicas: 0", "/replicas"),
        ("image: {tag: 'has space'}", "/image/tag"),
        ("image: {digest: 'sha256:short'}", "/image/digest"),
        ("image: {pullPolicy: Sometimes}", "/image/pullPolicy"),
        ("workerThreads: 0", "/workerThreads"),
        ("fullnameOverride: UPPER", "/fullnameOverride"),
        ("service: {port: 70000}", "/service/port"),
        ("service: {port: 8080}", "/service/port"),
        ("log: {level: warning}", "/log/level"),
        ("decisions: {podnetinfo: true}", "/decisions/scope"),
        ("webhook: {failurePolicy: Maybe}", "/webhook/failurePolicy"),
        ("webhook: {timeoutSeconds: 31}", "/webhook/timeoutSeconds"),
        ("webhook: {excludedNamespaces: [Kube_System]}", "/webhook/excludedNamespaces/0"),
        ("webhook: {namespaceSelector: {matchLabel: {}}}", "/webhook/namespaceSelector"),
        ("webhook: {extraMatchConditions: [{name: x}]}", "/webhook/extraMatchConditions/0"),
        ("decisions: {scope: some-pods}", "/decisions/scope"),
        ("decisions: {resourceAnnotations: []}", "/decisions/resourceAnnotations"),
        ("decisions: {globalNamespaces: []}", "/decisions/globalNamespaces"),
        ("decisions: {onUnresolved: ignore}", "/decisions/onUnresolved"),
        // YAML takes an unquoted off for false.
        ("launcherHook: {mode: false}", "/launcherHook/mode"),
        ("launcherHook: {memory: lots}", "/launcherHook/memory"),
        ("launcherHook: {imagePullSecret: Pull Secret}", "/launcherHook/imagePullSecret"),
        ("launcherHook: {arguments: [assign]}", "/launcherHook/arguments/0"),
        ("launcherHook: {arguments: [--asign=multus]}", "/launcherHook/arguments/0"),
        ("launcherHook: {arguments: [--assign=mutlus]}", "/launcherHook/arguments/0"),
        ("certificates: {mode: magic}", "/certificates/mode"),
        ("certificates: {mode: secret}", "/certificates/secret/name"),
        ("certificates: {mode: secret, secret: {name: a, caBundle: no}}", "/certificates/secret/caBundle"),
        ("certificates: {managed: {lifetime: 90days}}", "/certificates/managed/lifetime"),
        ("certificates: {managed: {renewAt: 1}}", "/certificates/managed/renewAt"),
        ("certificates: {certManager: {issuerRef: {nam: ca}}}", "/certificates/certManager/issuerRef"),
        ("certificates: {certManager: {issuerRef: {kind: Issuer}}}", "/certificates/certManager/issuerRef"),
        ("certificates: {certManager: {duration: 90d}}", "/certificates/certManager/duration"),
        ("server: {address: localhost}", "/server/address"),
        ("server: {maxBody: 8MB}", "/server/maxBody"),
        ("server: {maxBody: 65Mi}", "/server/maxBody"),
        ("server: {maxBody: '4611686018427387904'}", "/server/maxBody"),
        ("server: {readTimeout: '10'}", "/server/readTimeout"),
        ("shutdown: {drainDelaySeconds: -1}", "/shutdown/drainDelaySeconds"),
        ("podDisruptionBudget: {maxUnavailable: 0}", "/podDisruptionBudget/maxUnavailable"),
        ("networkPolicy: {egress: {cidrs: [everywhere]}}", "/networkPolicy/egress/cidrs/0"),
        ("networkPolicy: {egress: {ports: [https]}}", "/networkPolicy/egress/ports/0"),
        ("serviceMonitor: {interval: often}", "/serviceMonitor/interval"),
        ("podMonitor: {scrapeTimeout: soon}", "/podMonitor/scrapeTimeout"),
        ("service: {ipFamilies: [IPv5]}", "/service/ipFamilies/0"),
        ("test: {deadlineSeconds: 0}", "/test/deadlineSeconds"),
        ("test: {namespace: ''}", "/test/namespace"),
        ("global: {imageRegistry: 'https://mirror.example'}", "/global/imageRegistry"),
        ("probes: {liveness: {periodSeconds: 0}}", "/probes/liveness/periodSeconds"),
        ("podMonitor: {interval: often}", "/podMonitor/interval"),
        ("webhook: {systemNamespaces: [Kube_System]}", "/webhook/systemNamespaces/0"),
        (
            "{serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}",
            "scrape each pod twice: enable one",
        ),
        ("{resourceQuota: {enabled: true}, priorityClassName: ''}", "the quota is for pods of a class"),
        ("replica: 3", "additional properties 'replica' not allowed"),
        ("webhook: {failurepolicy: Fail}", "additional properties 'failurepolicy' not allowed"),
    ];
    for (values, named) in cases {
        let refusal = refusal(values);
        assert!(refusal.contains(named), "{values}: {refusal}");
    }
}

/// The tests of the webhook run with these permissions and this registration; so must it in a cluster.
#[test]
fn the_chart_grants_and_registers_what_the_tests_run_with() {
    let objects = |text: &str| -> Vec<Value> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        documents.into_iter().filter(|document| !document.is_null()).collect()
    };
    let rendered = objects(&template("equal-system", &["--set", "fullnameOverride=kubevirt-sriov-equal"]));
    let find = |objects: &[Value], kind: &str| -> Value {
        let found = objects
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == "kubevirt-sriov-equal");
        found.unwrap_or_else(|| panic!("no {kind}")).clone()
    };
    let tested = objects(&manifest("rbac.yaml", &[("SANDBOX", "equal")]));
    for kind in ["ClusterRole", "Role"] {
        assert_eq!(find(&rendered, kind)["rules"], find(&tested, kind)["rules"], "{kind}");
    }
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for part in ["roleRef", "subjects"] {
            assert_eq!(find(&rendered, kind)[part], find(&tested, kind)[part], "{kind}");
        }
    }
    let values = [("SANDBOX", "equal"), ("URL", ""), ("CA_BUNDLE", "")];
    let tested =
        find(&objects(&manifest("webhook-configuration.yaml", &values)), "MutatingWebhookConfiguration");
    let rendered = find(&rendered, "MutatingWebhookConfiguration");
    for entry in tested["webhooks"].as_array().unwrap() {
        let path = if entry["rules"][0]["resources"][0] == "pods" { "/mutate" } else { "/mutate-vmi" };
        let mut entries = rendered["webhooks"].as_array().unwrap().iter();
        let chart = entries.find(|one| one["clientConfig"]["service"]["path"] == path).unwrap();
        for (part, value) in entry.as_object().unwrap() {
            // A URL stands for the Service in the tests, and each test has namespaces of its own.
            if !["name", "clientConfig", "namespaceSelector"].contains(&part.as_str()) {
                assert_eq!(&chart[part], value, "{path}: {part}");
            }
        }
    }
}
