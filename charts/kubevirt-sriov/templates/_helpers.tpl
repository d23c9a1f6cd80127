{{- define "kubevirt-sriov.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 52 characters, so that what is put behind it still makes a name. */}}
{{- define "kubevirt-sriov.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kubevirt-sriov.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kubevirt-sriov.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: webhook
{{- end }}

{{- define "kubevirt-sriov.labels" -}}
{{- include "kubevirt-sriov.labelsAnd" (list . dict) }}
{{- end }}

{{/* The labels of an object with further ones of its own. Of equal keys the chart's own come first, by which the
     Service and others find the pods, and commonLabels last. Takes a list of root and further labels. */}}
{{- define "kubevirt-sriov.labelsAnd" -}}
{{- $root := index . 0 }}
{{- $labels := fromYaml (include "kubevirt-sriov.selectorLabels" $root) }}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") }}
{{- merge $labels (default dict (index . 1)) (default dict $root.Values.commonLabels) | toYaml }}
{{- end }}

{{- define "kubevirt-sriov.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kubevirt-sriov.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The reference of an image. What stands before the first slash is its registry if it looks like a host, as in
     container tools. Takes a list of root and image. */}}
{{- define "kubevirt-sriov.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- $repository := $image.repository }}
{{- with $root.Values.global.imageRegistry }}
{{- $repository = printf "%s/%s" . (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "") }}
{{- end }}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest }}
{{- else -}}
{{- printf "%s:%s" $repository (default $root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* The Secret with the serving certificate. */}}
{{- define "kubevirt-sriov.secretName" -}}
{{- if eq .Values.certificates.mode "secret" -}}
{{- .Values.certificates.secret.name }}
{{- else -}}
{{- printf "%s-tls" (include "kubevirt-sriov.fullname" .) }}
{{- end }}
{{- end }}

{{/* An address and a port; IPv6 goes into brackets. Takes a list of both. */}}
{{- define "kubevirt-sriov.listen" -}}
{{- $address := index . 0 -}}
{{- if contains ":" $address -}}
{{- printf "[%s]:%d" $address (int (index . 1)) }}
{{- else -}}
{{- printf "%s:%d" $address (int (index . 1)) }}
{{- end }}
{{- end }}

{{/* All entries of the registrations are reached in the same way. Takes a dictionary with root and path. */}}
{{- define "kubevirt-sriov.clientConfig" -}}
service:
  namespace: {{ .root.Release.Namespace | quote }}
  name: {{ include "kubevirt-sriov.fullname" .root | quote }}
  port: {{ .root.Values.service.port }}
  path: {{ .path }}
{{- if eq .root.Values.certificates.mode "secret" }}
caBundle: {{ .root.Values.certificates.secret.caBundle | b64enc | quote }}
{{- end }}
{{- end }}

{{/* The namespaces whose pods are not looked at, as JSON. Our own pods, and those that the network of pods is made of,
     must start while nobody answers: among virt-launcher pods there are none of these, among all there may be. */}}
{{- define "kubevirt-sriov.excludedNamespaces" -}}
{{- $excluded := default list .Values.webhook.excludedNamespaces }}
{{- if ne .Values.decisions.scope "virt-launcher" }}
{{- $excluded = concat (list .Release.Namespace .Values.decisions.multusNamespace) .Values.webhook.systemNamespaces $excluded }}
{{- end }}
{{- $excluded | uniq | toJson }}
{{- end }}

{{- define "kubevirt-sriov.namespaceSelector" -}}
{{- $selector := deepCopy (default dict .Values.webhook.namespaceSelector) }}
{{- with fromJsonArray (include "kubevirt-sriov.excludedNamespaces" .) }}
{{- $excluded := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" . }}
{{- $_ := set $selector "matchExpressions" (prepend (default list $selector.matchExpressions) $excluded) }}
{{- end }}
{{- toYaml $selector }}
{{- end }}

{{/* Which pods are posted to us: without a network there is nothing to decide. Takes a list of root and scope. */}}
{{- define "kubevirt-sriov.podMatchConditions" -}}
- name: names-a-network
  expression: >-
    has(object.metadata.annotations) &&
    ('k8s.v1.cni.cncf.io/networks' in object.metadata.annotations ||
    'v1.multus-cni.io/default-network' in object.metadata.annotations)
{{- if ne (index . 1) "virt-launcher" }}
# The kubelet runs a static pod whatever is decided about its mirror in the API.
- name: is-no-mirror
  expression: >-
    !('kubernetes.io/config.mirror' in object.metadata.annotations)
{{- end }}
{{- with (index . 0).Values.webhook.extraMatchConditions }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the test may do goes with it. */}}
{{- define "kubevirt-sriov.testPermission" -}}
helm.sh/hook: test{{ if .Values.test.afterInstall }},post-install,post-upgrade{{ end }}
helm.sh/hook-weight: "-1"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}

{{/* The pod that asks the API server what it would do with a pod that no webhook of ours lets pass. */}}
{{- define "kubevirt-sriov.testPod" -}}
restartPolicy: Never
serviceAccountName: {{ printf "%s-test" (include "kubevirt-sriov.fullname" .) | quote }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: doctor
    image: {{ include "kubevirt-sriov.image" (list . .Values.image) | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - doctor
      - --only=webhook
      - {{ printf "--webhook-configuration=%s" (include "kubevirt-sriov.fullname" .) | quote }}
      - {{ printf "--probe-namespace=%s" .Values.test.namespace | quote }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- toYaml .Values.securityContext | nindent 6 }}
{{- end }}

{{/* Seconds left of a certificate at which somebody should look: its renewal is overdue by then. */}}
{{- define "kubevirt-sriov.certificateEnding" -}}
{{- $managed := .Values.certificates.managed }}
{{- $certManager := .Values.certificates.certManager }}
{{- $week := 604800 }}
{{- if .Values.prometheusRule.certificateEnding }}
{{- include "kubevirt-sriov.seconds" .Values.prometheusRule.certificateEnding }}
{{- else if eq .Values.certificates.mode "managed" }}
{{- $lifetime := int64 (include "kubevirt-sriov.seconds" $managed.lifetime) }}
{{- min $week (int64 (divf (mulf $lifetime (subf 1.0 (float64 $managed.renewAt))) 2)) }}
{{- else if eq .Values.certificates.mode "cert-manager" }}
{{- min $week (div (int64 (include "kubevirt-sriov.seconds" $certManager.renewBefore)) 2) }}
{{- else }}
{{- $week }}
{{- end }}
{{- end }}

{{/* What both monitors say of a scrape. Takes the monitor's values. */}}
{{- define "kubevirt-sriov.scrape" -}}
port: metrics
path: /metrics
interval: {{ .interval | quote }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . | quote }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
