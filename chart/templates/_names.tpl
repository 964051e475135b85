{{- define "outrider.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Short enough for what is appended to stay within 63 characters. */}}
{{- define "outrider.injector" -}}
{{- include "outrider.fullname" . }}-injector
{{- end -}}

{{- define "outrider.injector.ca" -}}
{{- include "outrider.injector" . }}-ca
{{- end -}}

{{- define "outrider.injector.serviceAccount" -}}
{{- default (include "outrider.injector" .) .Values.injector.serviceAccount.name -}}
{{- end -}}

{{/* Never changes in the life of a release: selectors are immutable. */}}
{{- define "outrider.injector.selector" -}}
app.kubernetes.io/name: outrider
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: injector
{{- end -}}

{{- define "outrider.injector.labels" -}}
{{ include "outrider.injector.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "outrider.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret that is mounted; empty in mode auto, where there is none to mount. */}}
{{- define "outrider.injector.tlsSecret" -}}
{{- with .Values.injector.certificate -}}
{{- if eq .mode "certManager" -}}
{{ include "outrider.injector" $ }}-tls
{{- else if eq .mode "existingSecret" -}}
{{ required "injector.certificate.existingSecret names the Secret with tls.crt, tls.key and ca.crt" .existingSecret }}
{{- end -}}
{{- end -}}
{{- end -}}
