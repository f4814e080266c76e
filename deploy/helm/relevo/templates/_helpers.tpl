{{- define "relevo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, with the chart's unless it has that. Room is left for "-headless". */}}
{{- define "relevo.fullname" -}}
{{- $name := include "relevo.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 54 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "relevo.selector" -}}
app.kubernetes.io/name: {{ include "relevo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relevo.labels" -}}
{{ include "relevo.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "relevo.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "relevo.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "relevo.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the server's certificate; empty without TLS. */}}
{{- define "relevo.tlsSecret" -}}
{{- if .Values.tls.secret -}}
{{- .Values.tls.secret -}}
{{- else if .Values.tls.certManager.issuerRef.name -}}
{{- printf "%s-tls" (include "relevo.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Ends the rendering if values contradict one another, or would serve what nobody wants. */}}
{{- define "relevo.validate" -}}
{{- $stores := list -}}
{{- if .Values.store.url }}{{- $stores = append $stores "store.url" }}{{- end -}}
{{- if .Values.store.secret.name }}{{- $stores = append $stores "store.secret.name" }}{{- end -}}
{{- if .Values.store.ephemeral }}{{- $stores = append $stores "store.ephemeral" }}{{- end -}}
{{- if ne (len $stores) 1 -}}
{{- fail (printf "store: give exactly one of url, secret.name and ephemeral; there are %d" (len $stores)) -}}
{{- end -}}
{{/* Not in the schema, whose errors quote the value. */}}
{{- if contains "@" .Values.store.url -}}
{{- fail "store.url: a URL with a user or a password belongs into a Secret: give store.secret.name" -}}
{{- end -}}
{{- if and .Values.store.ephemeral (or (ne (int .Values.replicas) 1) (ne (toString .Values.workers) "1")) -}}
{{- fail "store.ephemeral: each server and each worker would have a store of its own: set replicas and workers to 1" -}}
{{- end -}}
{{- if and .Values.tls.secret .Values.tls.certManager.issuerRef.name -}}
{{- fail "tls: give either secret, or certManager.issuerRef.name" -}}
{{- end -}}
{{- if not .Values.insecure -}}
{{- if not (include "relevo.tlsSecret" .) -}}
{{- fail "tls: contexts and tokens would travel unencrypted: give secret or certManager.issuerRef.name, or say insecure: true" -}}
{{- end -}}
{{- if not .Values.config.secret.name -}}
{{- fail "config.secret.name: everyone could do everything: name a Secret with principals, or say insecure: true" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.clientCa.secret (not (include "relevo.tlsSecret" .)) -}}
{{- fail "tls.clientCa.secret: needs a certificate of the server" -}}
{{- end -}}
{{- if and .Values.probes.nativeTls .Values.tls.clientCa.secret -}}
{{- fail "probes.nativeTls: Kubernetes' probes present no certificate, and tls.clientCa.secret demands one" -}}
{{- end -}}
{{- if and (eq (toString .Values.workers) "auto") (not (dig "limits" "cpu" "" .Values.resources)) -}}
{{- fail "workers: auto would take all cores of the node: set resources.limits.cpu" -}}
{{- end -}}
{{- if and (not .Values.metrics.enabled) (or .Values.metrics.serviceMonitor.enabled .Values.metrics.prometheusRule.enabled) -}}
{{- fail "metrics.enabled: must be true for a serviceMonitor or a prometheusRule" -}}
{{- end -}}
{{- end -}}

{{/* How a probe asks: gRPC's health service by its name. */}}
{{- define "relevo.probe" -}}
{{- $root := index . 0 -}}{{- $service := index . 1 -}}
{{- if and (include "relevo.tlsSecret" $root) (not $root.Values.probes.nativeTls) -}}
exec:
  command: [relevo, check, --serving, {{ $service }}]
{{- else -}}
grpc:
  port: 7390
  service: {{ $service }}
{{- if include "relevo.tlsSecret" $root }}
  mode: TLS
{{- end }}
{{- end -}}
{{- end -}}
