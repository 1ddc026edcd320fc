{{/* What cannot work is refused here, before anything is installed, with a sentence that says what to do. */}}
{{- define "certctl-connectors.checks" -}}
{{- if and (not .Values.access.file) (not .Values.access.existingSecret) }}
{{- fail "Nobody could call the service: give access.file, or the name of your own Secret in access.existingSecret." }}
{{- end }}
{{- if and .Values.access.file .Values.access.existingSecret }}
{{- fail "access.file and access.existingSecret are both given: keep one, the chart cannot know which is meant." }}
{{- end }}
{{- $identities := 0 }}
{{- range list .Values.azure.workloadIdentity.clientId .Values.azure.managedIdentity.clientId .Values.azure.clientSecret.existingSecret }}
{{- if . }}{{ $identities = add1 $identities }}{{ end }}
{{- end }}
{{- if gt (int $identities) 1 }}
{{- fail "More than one Azure identity is given: keep one of azure.workloadIdentity, azure.managedIdentity and azure.clientSecret." }}
{{- end }}
{{- if eq (int .Values.http.metricsPort) 8080 }}
{{- fail "http.metricsPort is 8080, the main port: choose another, or 0 to keep /metrics there." }}
{{- end }}
{{- if and .Values.http.metricsPort (eq (int .Values.http.metricsPort) (int .Values.service.port)) }}
{{- fail "http.metricsPort and service.port are the same: choose another port for one of them." }}
{{- end }}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add .Values.worker.drainSeconds 10 | int) }}
{{- fail "terminationGracePeriodSeconds must be at least 10 more than worker.drainSeconds: else the service is killed while it still ends a deployment." }}
{{- end }}
{{- if and .Values.persistence.existingClaim (not .Values.persistence.enabled) }}
{{- fail "persistence.existingClaim is given but persistence.enabled is false: the claim would not be used." }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) (not .Values.postgres.existingSecret) }}
{{- fail "More than one replica needs PostgreSQL: name the Secret with its address in postgres.existingSecret, or keep replicas at 1." }}
{{- end }}
{{- if and .Values.workers.replicas (not .Values.postgres.existingSecret) }}
{{- fail "Workers of their own need PostgreSQL: name the Secret with its address in postgres.existingSecret, or keep workers.replicas at 0." }}
{{- end }}
{{- if and .Values.postgres.existingSecret .Values.persistence.existingClaim }}
{{- fail "postgres.existingSecret and persistence.existingClaim are both given: the record is in one place only." }}
{{- end }}
{{- if and .Values.postgres.caBundle.configMap (not .Values.postgres.existingSecret) }}
{{- fail "postgres.caBundle.configMap is given but no postgres.existingSecret: without PostgreSQL there is nothing to check with it." }}
{{- end }}
{{- if and .Values.sealing.existingSecret .Values.sealing.vaultKeys }}
{{- fail "sealing.existingSecret and sealing.vaultKeys are both given: keep one of them." }}
{{- end }}
{{- $sealed := or .Values.sealing.existingSecret .Values.sealing.vaultKeys }}
{{- if and .Values.postgres.existingSecret (not $sealed) }}
{{- fail "Private keys wait in PostgreSQL sealed only: give sealing.vaultKeys, or the name of a Secret in sealing.existingSecret." }}
{{- end }}
{{- if and $sealed (not .Values.postgres.existingSecret) }}
{{- fail "Sealing keys are given but no postgres.existingSecret: without PostgreSQL there is nothing to seal." }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.callers) }}
{{- fail "networkPolicy.enabled needs networkPolicy.callers: an empty list would let in everyone." }}
{{- end }}
{{- $set := list }}
{{- range include "certctl-connectors.env" . | fromYamlArray }}{{ $set = append $set .name }}{{ end }}
{{- range .Values.extraEnv }}
{{- if has .name $set }}
{{- fail (printf "extraEnv names %s, which the chart sets itself: change the value it comes from." .name) }}
{{- end }}
{{- end }}
{{- end }}
