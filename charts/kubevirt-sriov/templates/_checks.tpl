{{/* What the schema cannot see: values that are right by themselves and do not go together. */}}
{{- define "kubevirt-sriov.checks" -}}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail (printf "autoscaling.minReplicas is %d, more than autoscaling.maxReplicas, %d: raise the latter" (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- end }}
{{- if eq (int .Values.server.port) (int .Values.server.adminPort) }}
{{- fail (printf "server.port and server.adminPort are both %d: give two ports" (int .Values.server.port)) }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true, and Prometheus would scrape each pod twice: enable one" }}
{{- end }}
{{- if and .Values.resourceQuota.enabled (not .Values.priorityClassName) }}
{{- fail "resourceQuota.enabled is true and priorityClassName is empty: the quota is for pods of a class; name one, or disable the quota" }}
{{- end }}
{{- with .Values.test }}
{{- if and .afterInstall (not .enabled) }}
{{- fail "test.afterInstall is true and test.enabled is false: the check is a part of the test; enable it, or disable the check" }}
{{- end }}
{{- if and .afterInstall (has .namespace (fromJsonArray (include "kubevirt-sriov.excludedNamespaces" $))) }}
{{- fail (printf "test.afterInstall is true and test.namespace is %s, whose pods are not reviewed (webhook.excludedNamespaces, decisions.scope): the check would fail; name another namespace" .namespace) }}
{{- end }}
{{- end }}
{{- if and (eq .Values.webhook.finalLook.scope "all-pods") (ne .Values.decisions.scope "all-pods") }}
{{- fail "webhook.finalLook.scope is all-pods and decisions.scope is not: other pods are not decided about, so there is nothing to look for in them; set both, or leave webhook.finalLook.scope out" }}
{{- end }}
{{- if eq .Values.certificates.mode "managed" }}
{{- include "kubevirt-sriov.checkManaged" .Values.certificates.managed }}
{{- else if eq .Values.certificates.mode "cert-manager" }}
{{- include "kubevirt-sriov.checkCertManager" .Values.certificates.certManager }}
{{- end }}
{{- end }}

{{/* As the program does when it starts. */}}
{{- define "kubevirt-sriov.checkManaged" -}}
{{- $lifetime := int64 (include "kubevirt-sriov.seconds" .lifetime) }}
{{- $caLifetime := int64 (include "kubevirt-sriov.seconds" .caLifetime) }}
{{- $caSettle := int64 (include "kubevirt-sriov.seconds" .caSettle) }}
{{- $rest := subf 1.0 (float64 .renewAt) }}
{{- if lt $lifetime 60 }}
{{- fail (printf "certificates.managed.lifetime is %s, which ends before anybody renews it: give at least 1m" .lifetime) }}
{{- end }}
{{- if gt $caLifetime 3162240000 }}
{{- fail (printf "certificates.managed.caLifetime is %s, longer than 100 years: give a shorter one" .caLifetime) }}
{{- end }}
{{- $needed := divf $lifetime $rest }}
{{- if lt (float64 $caLifetime) $needed }}
{{- fail (printf "certificates.managed.caLifetime is %s, too short for certificates of %s: what is left of it at renewAt, %v, must hold a whole one; give at least %.0fs" .caLifetime .lifetime .renewAt (ceil $needed)) }}
{{- end }}
{{- $most := divf (mulf $lifetime $rest) 2 }}
{{- if gt (float64 $caSettle) $most }}
{{- fail (printf "certificates.managed.caSettle is %s, and certificates of %s would end meanwhile: give at most %.0fs" .caSettle .lifetime (floor $most)) }}
{{- end }}
{{- end }}

{{- define "kubevirt-sriov.checkCertManager" -}}
{{- $duration := int64 (include "kubevirt-sriov.seconds" .duration) }}
{{- $renewBefore := int64 (include "kubevirt-sriov.seconds" .renewBefore) }}
{{- if ge $renewBefore $duration }}
{{- fail (printf "certificates.certManager.renewBefore is %s, and duration is %s: a certificate would always be due; give less" .renewBefore .duration) }}
{{- end }}
{{- if not .issuerRef }}
{{- if lt (int64 (include "kubevirt-sriov.seconds" .caDuration)) (mul 3 $duration) }}
{{- fail (printf "certificates.certManager.caDuration is %s, and duration is %s: the CA would end before what it signs; give three times as much at least" .caDuration .duration) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Seconds in a duration such as 90d or 1h30m. */}}
{{- define "kubevirt-sriov.seconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "y" 31536000000 }}
{{- $milliseconds := 0 }}
{{- range regexFindAll "[0-9]+(ms|[smhdy])" . -1 }}
{{- $milliseconds = add $milliseconds (mul (regexFind "[0-9]+" . | int64) (get $units (regexFind "[a-z]+" .))) }}
{{- end }}
{{- div $milliseconds 1000 }}
{{- end }}
