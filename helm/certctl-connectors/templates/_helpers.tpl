{{- define "certctl-connectors.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "certctl-connectors.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "certctl-connectors.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "certctl-connectors.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What runs, a Deployment each: all of it together, or the API and the workers apart. Each has its
own name to be selected by, and the API's never changes, because a Deployment's selector must not.
`merge $part $` is what a template of a part is given. */}}
{{- define "certctl-connectors.parts" -}}
- component: api
  name: {{ include "certctl-connectors.name" . | quote }}
  fullname: {{ include "certctl-connectors.fullname" . | quote }}
  args: [serve{{ if .Values.workers.replicas }}, --no-worker{{ end }}]
  replicas: {{ .Values.replicas }}
  resources: {{ .Values.resources | toJson }}
{{- if .Values.workers.replicas }}
- component: worker
  name: {{ printf "%s-worker" (include "certctl-connectors.name" . | trunc 56 | trimSuffix "-") }}
  fullname: {{ printf "%s-worker" (include "certctl-connectors.fullname" . | trunc 56 | trimSuffix "-") }}
  args: [work]
  replicas: {{ .Values.workers.replicas }}
  resources: {{ .Values.workers.resources | default .Values.resources | toJson }}
{{- end }}
{{- end }}

{{- define "certctl-connectors.selectorLabels" -}}
app.kubernetes.io/name: {{ .name | default (include "certctl-connectors.name" .) }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "certctl-connectors.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "certctl-connectors.selectorLabels" . }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "certctl-connectors.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "certctl-connectors.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "certctl-connectors.accessSecret" -}}
{{- .Values.access.existingSecret | default (printf "%s-access" (include "certctl-connectors.fullname" . | trunc 56 | trimSuffix "-")) }}
{{- end }}

{{- define "certctl-connectors.claim" -}}
{{- .Values.persistence.existingClaim | default (include "certctl-connectors.fullname" .) }}
{{- end }}

{{- define "certctl-connectors.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- if .Values.image.digest }}{{ printf "@%s" .Values.image.digest }}{{ end }}
{{- end }}

{{- define "certctl-connectors.metricsPortName" -}}
{{- if .Values.http.metricsPort }}metrics{{ else }}http{{ end }}
{{- end }}

{{- define "certctl-connectors.credentialMode" -}}
{{- if .Values.azure.workloadIdentity.clientId }}workload_identity
{{- else if .Values.azure.managedIdentity.clientId }}managed_identity
{{- else if .Values.azure.clientSecret.existingSecret }}client_secret
{{- else }}default
{{- end }}
{{- end }}

{{- define "certctl-connectors.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "certctl-connectors.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "certctl-connectors.storeEnv" -}}
- name: CERTCTL_CONNECTORS_STORE__URL
{{- if .Values.postgres.existingSecret }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.postgres.existingSecret }}
      key: {{ .Values.postgres.key }}
{{- else }}
  value: sqlite:////data/certctl-connectors.db
{{- end }}
{{- if .Values.postgres.caBundle.configMap }}
# PostgreSQL's client reads these itself, and prefers what the address says.
- name: PGSSLMODE
  value: verify-full
- name: PGSSLROOTCERT
  value: /etc/certctl-connectors/postgres-ca/{{ .Values.postgres.caBundle.key }}
{{- end }}
{{- end }}

{{- define "certctl-connectors.storeMounts" -}}
{{- if not .Values.postgres.existingSecret }}
- name: data
  mountPath: /data
{{- end }}
{{- if .Values.postgres.caBundle.configMap }}
- name: postgres-ca
  mountPath: /etc/certctl-connectors/postgres-ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "certctl-connectors.storeVolumes" -}}
{{- if not .Values.postgres.existingSecret }}
- name: data
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ include "certctl-connectors.claim" . }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- if .Values.postgres.caBundle.configMap }}
- name: postgres-ca
  configMap:
    name: {{ .Values.postgres.caBundle.configMap }}
    items:
      - key: {{ .Values.postgres.caBundle.key }}
        path: {{ .Values.postgres.caBundle.key }}
{{- end }}
{{- end }}

{{/* The settings of the service that the chart decides. Secrets come by reference only. */}}
{{- define "certctl-connectors.env" -}}
- name: CERTCTL_CONNECTORS_HTTP__HOST
  value: "0.0.0.0"
- name: CERTCTL_CONNECTORS_HTTP__PORT
  value: "8080"
{{- if .Values.http.metricsPort }}
- name: CERTCTL_CONNECTORS_HTTP__METRICS_PORT
  value: {{ .Values.http.metricsPort | int64 | quote }}
{{- end }}
- name: CERTCTL_CONNECTORS_HTTP__DOCS
  value: {{ .Values.http.docs | quote }}
{{ include "certctl-connectors.storeEnv" . }}
{{- if .Values.postgres.existingSecret }}
- name: CERTCTL_CONNECTORS_QUEUE__MODE
  value: postgres
{{- end }}
{{- if .Values.sealing.existingSecret }}
- name: CERTCTL_CONNECTORS_QUEUE__SEALING_KEYS_FILE
  value: /etc/certctl-connectors/sealing/{{ .Values.sealing.key }}
{{- end }}
{{- if .Values.sealing.vaultKeys }}
- name: CERTCTL_CONNECTORS_AZURE__SEALING_KEYS
  value: {{ .Values.sealing.vaultKeys | toJson | quote }}
- name: CERTCTL_CONNECTORS_AZURE__SEALING_CREDENTIAL_MODE
  value: {{ include "certctl-connectors.credentialMode" . }}
{{- end }}
- name: CERTCTL_CONNECTORS_ACCESS__MODE
  value: required
- name: CERTCTL_CONNECTORS_ACCESS__FILE
  value: /etc/certctl-connectors/access/{{ .Values.access.key }}
- name: CERTCTL_CONNECTORS_AZURE__READ_PREVIOUS_SECRET
  value: {{ .Values.azure.readPreviousSecret | quote }}
{{- if .Values.azure.allowedVaults }}
- name: CERTCTL_CONNECTORS_AZURE__ALLOWED_VAULTS
  value: {{ .Values.azure.allowedVaults | toJson | quote }}
{{- end }}
{{- if .Values.azure.connectTo }}
- name: CERTCTL_CONNECTORS_AZURE__CONNECT_TO
  value: {{ .Values.azure.connectTo | quote }}
{{- end }}
{{- if .Values.azure.caBundle.configMap }}
- name: CERTCTL_CONNECTORS_AZURE__CA_BUNDLE
  value: /etc/certctl-connectors/ca/{{ .Values.azure.caBundle.key }}
{{- end }}
- name: CERTCTL_CONNECTORS_WORKER__CONCURRENCY
  value: {{ .Values.worker.concurrency | int64 | quote }}
- name: CERTCTL_CONNECTORS_WORKER__QUEUE_LIMIT
  value: {{ .Values.worker.queueLimit | int64 | quote }}
- name: CERTCTL_CONNECTORS_WORKER__DRAIN_S
  value: {{ .Values.worker.drainSeconds | int64 | quote }}
- name: CERTCTL_CONNECTORS_LOG__FORMAT
  value: {{ .Values.log.format | quote }}
- name: CERTCTL_CONNECTORS_LOG__LEVEL
  value: {{ .Values.log.level | quote }}
{{- if .Values.azure.managedIdentity.clientId }}
- name: AZURE_CLIENT_ID
  value: {{ .Values.azure.managedIdentity.clientId | quote }}
{{- end }}
{{- with .Values.azure.clientSecret.existingSecret }}
{{- range list "AZURE_TENANT_ID" "AZURE_CLIENT_ID" "AZURE_CLIENT_SECRET" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.azure.clientSecret.existingSecret }}
      key: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "certctl-connectors.migration" -}}
{{- printf "%s-migrate" (include "certctl-connectors.fullname" . | trunc 55 | trimSuffix "-") }}
{{- end }}

{{/* Those of the pod that migrates: no Service and no other policy selects it by them. */}}
{{- define "certctl-connectors.migrationLabels" -}}
app.kubernetes.io/name: {{ printf "%s-migrate" (include "certctl-connectors.name" . | trunc 55 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: migration
{{- end }}

{{- define "certctl-connectors.egressToNames" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}

{{- define "certctl-connectors.egressToPostgres" -}}
- ports:
    - port: 5432
{{- end }}
