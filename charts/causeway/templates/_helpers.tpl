{{/* Labels of every object; "part" is operator, gateway, executor or console. */}}
{{- define "causeway.labels" -}}
{{ include "causeway.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Labels by which a part's pods are known. */}}
{{- define "causeway.selector" -}}
app.kubernetes.io/name: causeway
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* User as whom the operator writes. The admission rules are made for it. */}}
{{- define "causeway.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:causeway-operator
{{- end }}

{{/* "true" where all pods share a store: then operators and gateways are processes of their own. */}}
{{- define "causeway.shared" -}}
{{- if or .Values.store.url .Values.store.existingClaim -}}true{{- end -}}
{{- end }}

{{/* How many of a role: what is asked for, else two with a shared store. Without one, one process has all of it. */}}
{{- define "causeway.replicas" -}}
{{- $asked := (index .root.Values .part).replicas -}}
{{- $shared := include "causeway.shared" .root -}}
{{- if kindIs "invalid" $asked -}}
{{- if $shared -}}2{{- else if eq .part "operator" -}}1{{- else -}}0{{- end -}}
{{- else -}}
{{- if and (not $shared) (gt (int $asked) (ternary 1 0 (eq .part "operator"))) -}}
{{- fail (printf "%s.replicas is %d, and there is no store that pods share: set store.url to a bucket (s3://BUCKET/PREFIX), or store.existingClaim to a PersistentVolumeClaim with ReadWriteMany; or leave operator.replicas and gateway.replicas out, for one process that has everything on its own volume" .part (int $asked)) -}}
{{- end -}}
{{- int $asked -}}
{{- end -}}
{{- end }}

{{/* Secret with what operators and gateways share. */}}
{{- define "causeway.keys" -}}
{{ .Values.keys.existingSecret | default "causeway-keys" }}
{{- end }}

{{/* Where tables are, as arguments. */}}
{{- define "causeway.storeArguments" -}}
{{- if and .Values.store.url .Values.store.existingClaim }}
{{- fail "store.url and store.existingClaim are both set: the tables can only be in one place" }}
{{- end }}
{{- with .Values.store.url }}
- {{ printf "--store=%s" . | quote }}
{{- end }}
{{- with .Values.store.existingClaim }}
- --store=file:///var/lib/causeway-store
{{- end }}
{{- with .Values.store.endpoint }}
- {{ printf "--s3-endpoint=%s" . | quote }}
{{- end }}
{{- with .Values.store.region }}
- {{ printf "--s3-region=%s" . | quote }}
{{- end }}
{{- end }}

{{- define "causeway.storeEnv" -}}
{{- with .Values.store.existingSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end }}

{{- define "causeway.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Security of a pod: no root, no more than its files. */}}
{{- define "causeway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "causeway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "causeway.logArguments" -}}
- --log-format=json
{{- with .Values.log }}
- {{ printf "--log=%s" . | quote }}
{{- end }}
{{- end }}
