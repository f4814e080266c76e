{{/* The settings of `relevo serve`, as its environment. Secrets are in files: see the volumes. */}}
{{- define "relevo.env" -}}
- name: RELEVO_LISTEN
  value: {{ printf "%s:7390" .Values.listenAddress | quote }}
- name: RELEVO_STORE
  {{- if .Values.store.url }}
  value: {{ .Values.store.url | quote }}
  {{- else if .Values.store.secret.name }}
  value: file:///etc/relevo/store/url
  {{- else }}
  value: memory://
  {{- end }}
- name: RELEVO_WORKERS
  value: {{ .Values.workers | quote }}
- name: RELEVO_GRACE
  value: {{ .Values.grace | quote }}
{{- if .Values.maxConnectionAge }}
- name: RELEVO_MAX_CONNECTION_AGE
  value: {{ .Values.maxConnectionAge | quote }}
{{- end }}
{{- if include "relevo.tlsSecret" . }}
- name: RELEVO_TLS_CERTIFICATE
  value: /etc/relevo/tls/tls.crt
- name: RELEVO_TLS_KEY
  value: /etc/relevo/tls/tls.key
{{- end }}
{{- if .Values.tls.clientCa.secret }}
- name: RELEVO_TLS_CLIENT_CA
  value: /etc/relevo/client-ca/ca.crt
{{- end }}
{{- if .Values.config.secret.name }}
- name: RELEVO_CONFIG
  value: /etc/relevo/config/relevo.toml
{{- end }}
{{- if .Values.insecure }}
- name: RELEVO_INSECURE
  value: "true"
{{- end }}
{{- if .Values.metrics.enabled }}
- name: RELEVO_METRICS_LISTEN
  value: {{ printf ":%d" (int .Values.metrics.port) | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: RELEVO_{{ upper $name }}
  {{- if or (kindIs "map" $value) (kindIs "slice" $value) }}
  value: {{ toJson $value | quote }}
  {{- else if kindIs "float64" $value }}
  value: {{ toJson $value | quote }}
  {{- else }}
  value: {{ toString $value | quote }}
  {{- end }}
{{- end }}
# Less memory for gRPC's threads: docs/operations.md.
- name: MALLOC_ARENA_MAX
  value: "1"
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relevo.volumeMounts" -}}
{{- if .Values.store.secret.name }}
- {name: store, mountPath: /etc/relevo/store, readOnly: true}
{{- end }}
{{- if .Values.config.secret.name }}
- {name: config, mountPath: /etc/relevo/config, readOnly: true}
{{- end }}
{{- if include "relevo.tlsSecret" . }}
- {name: tls, mountPath: /etc/relevo/tls, readOnly: true}
{{- end }}
{{- if .Values.tls.clientCa.secret }}
- {name: client-ca, mountPath: /etc/relevo/client-ca, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The group may read them: the server's, by fsGroup. */}}
{{- define "relevo.volumes" -}}
{{- if .Values.store.secret.name }}
{{ include "relevo.secretVolume" (list "store" .Values.store.secret.name .Values.store.secret.key "url") }}
{{- end }}
{{- if .Values.config.secret.name }}
{{ include "relevo.secretVolume" (list "config" .Values.config.secret.name .Values.config.secret.key "relevo.toml") }}
{{- end }}
{{- with include "relevo.tlsSecret" . }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if .Values.tls.clientCa.secret }}
{{ include "relevo.secretVolume" (list "client-ca" .Values.tls.clientCa.secret .Values.tls.clientCa.key "ca.crt") }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "relevo.secretVolume" -}}
- name: {{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
    items:
      - {key: {{ index . 2 | quote }}, path: {{ index . 3 }}}
{{- end -}}
