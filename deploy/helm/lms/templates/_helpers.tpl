{{- define "lms.facts" -}}
{{ .Files.Get "files/services.yaml" }}
{{- end }}

{{/* The services to install, as a YAML list. */}}
{{- define "lms.services" -}}
{{- $facts := fromYaml (include "lms.facts" .) -}}
{{- $only := .Values.only -}}
{{- $chosen := list -}}
{{- range $facts.services -}}
{{- if or (not $only) (has .name $only) -}}{{- $chosen = append $chosen . -}}{{- end -}}
{{- end -}}
{{- toYaml (dict "services" $chosen) -}}
{{- end }}

{{/* A service's settings: the defaults and what services.<name> says. */}}
{{- define "lms.settings" -}}
{{- $own := get .root.Values.services .name | default dict -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.defaults) $own) -}}
{{- end }}

{{/* Names of the secrets that a service's sidecar reads, as a list in JSON: those of its
components, its own, and for auth, which knows everybody by theirs, those of all. */}}
{{- define "lms.secretsOf" -}}
{{- $facts := fromYaml (include "lms.facts" .root) -}}
{{- $service := .service -}}
{{- $names := list -}}
{{- range $facts.secrets -}}
{{- $own := or (eq . (printf "service-%s" $service.name)) (hasPrefix (printf "%s-" $service.name) .) (eq . "objects-signing-key") -}}
{{- if or $own (and (eq $service.name "auth") (hasPrefix "service-" .)) -}}
{{- $names = append $names . -}}
{{- if hasSuffix "-sealing-key" . }}{{- $names = append $names (printf "%s-previous" .) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $components := list -}}
{{- range $service.components -}}
{{- $components = append $components (get $.root.Values.components (hasPrefix "events-" . | ternary "topics" .)) -}}
{{- end -}}
{{- range $components -}}{{- range .metadata -}}{{- with .secretKeyRef -}}
{{- $names = append $names .name -}}
{{- end -}}{{- end -}}{{- end -}}
{{- uniq $names | toJson -}}
{{- end }}

{{- define "lms.labels" -}}
app.kubernetes.io/part-of: lms
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "lms.ownLabels" -}}
{{ include "lms.labels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "lms.image" -}}
{{ printf "%s/%s:%s" .Values.image.registry .Values.image.app (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}

{{- define "lms.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "lms.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* A component with the settings of values and the scopes of the tables. */}}
{{- define "lms.component" -}}
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: {{ .name }}
  labels: {{- include "lms.ownLabels" (dict "root" .root "name" .name) | nindent 4 }}
{{- if ne .name "secrets" }}
auth:
  secretStore: secrets
{{- end }}
spec:
  type: {{ .component.type }}
  version: {{ .component.version }}
{{- with .component.initTimeout }}
  initTimeout: {{ . }}
{{- end }}
  metadata:
{{- range .component.metadata }}
    - name: {{ .name }}
{{- with .secretKeyRef }}
      secretKeyRef: {{ toJson . }}
{{- else }}
      value: {{ .value | toString | replace "{publisher}" ($.publisher | default "") | replace "{topic}" ($.topic | default "") | quote }}
{{- end }}
{{- end }}
{{- with .scoped }}
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- if and (not .component.metadata) (not .scoped) }} []
{{- end }}
scopes: {{ toJson .apps }}
{{- end }}
