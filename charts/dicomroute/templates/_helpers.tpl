{{- define "dicomroute.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "dicomroute.selector" -}}
app.kubernetes.io/name: dicomroute-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dicomroute.labels" -}}
{{ include "dicomroute.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: dicomroute
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "dicomroute.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "dicomroute.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "dicomroute.image" -}}
{{- $image := .image -}}
{{- $name := $image.repository -}}
{{- if $image.registry -}}{{- $name = printf "%s/%s" $image.registry $name -}}{{- end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .version $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "dicomroute.adminSecret" -}}
{{- default (printf "%s-admin-key" (include "dicomroute.fullname" .)) .Values.adminKey.existingSecret -}}
{{- end -}}

{{- /* The plurals of the kinds that people write: those whose CRDs the chart brings. */ -}}
{{- define "dicomroute.kinds" -}}
{{- $plurals := list -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" -}}
{{- $plurals = base $path | trimSuffix ".yaml" | append $plurals -}}
{{- end -}}
{{- join ", " $plurals -}}
{{- end -}}

{{- /*
What the operator may do in the namespaces that it looks after. Secrets: write, never read. It deletes ConfigMaps and
NetworkPolicies alone; who may not delete the others may not become their owner again after `--cascade=orphan`, where the
cluster looks at that (OwnerReferencesPermissionEnforcement, as OpenShift does).
*/ -}}
{{- define "dicomroute.rules" -}}
- apiGroups: [dicomroute.dev]
  resources: [{{ include "dicomroute.kinds" . }}]
  verbs: [list, watch]
- apiGroups: [dicomroute.dev]
  resources: [{{ include "dicomroute.kinds" . | replace "," "/status," }}/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
{{- end -}}

{{- define "dicomroute.gatewayDefaults" -}}
{{- with .Values.gateway -}}
{{- $spec := dict "nodeSelector" .nodeSelector "tolerations" .tolerations "affinity" .affinity "priorityClassName" .priorityClassName "imagePullSecrets" .imagePullSecrets -}}
{{- $meta := dict "labels" .podLabels "annotations" .podAnnotations -}}
{{- dict "resources" .resources "storageClassName" .storageClassName "podTemplateSpec" $spec "podMetadata" $meta "serviceAccountAnnotations" .serviceAccountAnnotations "logLevel" .logLevel "user" .user "monitoringNamespaces" .monitoringNamespaces "machineIdentities" .machineIdentities | toYaml -}}
{{- end -}}
{{- end -}}

{{- define "dicomroute.isTheOperator" -}}
- name: the-operator
  expression: request.userInfo.username == "system:serviceaccount:{{ .Release.Namespace }}:{{ include "dicomroute.serviceAccount" . }}"
{{- end -}}

{{- /* The operator's own namespace is closed, as the admin key is there, unless routes are to be in it. */ -}}
{{- define "dicomroute.namespaceIsOpen" -}}
{{- $closed := .Values.admissionPolicies.closedNamespaces -}}
{{- if not (has .Release.Namespace .Values.watch.namespaces) -}}{{- $closed = append $closed .Release.Namespace -}}{{- end -}}
- expression: '!(request.namespace in {{ $closed | toJson }})'
  messageExpression: '"the operator writes nothing in the namespace " + request.namespace'
  reason: Forbidden
{{- end -}}

{{- define "dicomroute.binding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{- include "dicomroute.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [{{ .actions }}]
{{- end -}}
