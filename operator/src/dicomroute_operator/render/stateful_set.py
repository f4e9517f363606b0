"""Renders the StatefulSet of a gateway: one pod, its claim, and its way to end."""

import hashlib
import json
from typing import Any

from dicomroute_operator.api import identity
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.meta import Model
from dicomroute_operator.api.pod import TemplateSpec
from dicomroute_operator.api.route import DicomRoute

from . import names
from .claims import claim_templates
from .objects import GATEWAY, Manifest, labels, metadata
from .settings import GatewayDefaults, RenderSettings

_GRACE_SECONDS = 10
"""What the pod has beyond the drain: time to close the spool and to start the process that ends it."""


def stateful_set(inputs: RouteInputs, settings: RenderSettings) -> Manifest:
    """Return the StatefulSet.

    Parallel, because an ordered one waits for a broken pod before it rolls out what mends it (kubernetes#60164). The
    claim is retained whatever happens to the set: it holds what is still owed.
    """
    route = inputs.route
    gateway = route.spec.gateway
    selector = {names.ROUTE_LABEL: route.metadata.name}
    template, defaults = gateway.pod_template, settings.defaults
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(route, names.gateway(route.metadata.name)),
        "spec": {
            "replicas": gateway.replicas,
            "serviceName": names.headless_service(route.metadata.name),
            "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": _without_empty(
                    {
                        "labels": {
                            **defaults.pod_metadata.labels,
                            **template.metadata.labels,
                            **identity.pod_labels(inputs),
                            **labels(route),
                        },
                        "annotations": {
                            **defaults.pod_metadata.annotations,
                            **template.metadata.annotations,
                            **_identity_annotations(inputs),
                        },
                    }
                ),
                "spec": {
                    **_template_spec(defaults.pod_template),
                    **_template_spec(template.spec),
                    **_pod_spec(inputs, settings),
                },
            },
            "volumeClaimTemplates": claim_templates(inputs, defaults.storage_class_name),
        },
    }


def _pod_spec(inputs: RouteInputs, settings: RenderSettings) -> Manifest:
    route = inputs.route
    gateway = route.spec.gateway
    user = settings.defaults.user
    image = inputs.existing.image or gateway.image or settings.gateway_image
    return {
        "serviceAccountName": names.gateway(route.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": gateway.drain_timeout_seconds + _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            **({"runAsUser": user, "runAsGroup": user, "fsGroup": user} if user is not None else {}),
            # A spool of many files is not walked at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(route, image, settings.defaults)],
        "volumes": [
            {
                "name": "configuration",
                "configMap": {"name": names.configuration(route.metadata.name)},
            },
            {"name": "admin", "secret": {"secretName": names.admin_secret(route.metadata.name)}},
            {"name": "secrets", "projected": {"sources": _mounted_sources(inputs)}},
        ],
    }


def _container(route: DicomRoute, image: str, defaults: GatewayDefaults) -> Manifest:
    probe = {"timeoutSeconds": 5}
    health = {"port": "health", "scheme": "HTTP"}
    return {
        "name": "gateway",
        "image": image,
        "args": [
            f"--configuration={names.CONFIGURATION_FOLDER}/{names.CONFIGURATION_KEY}",
            f"--secrets={names.SECRETS_FOLDER}",
            f"--spool={names.SPOOL_FOLDER}/spool",
            f"--admin-token={names.ADMIN_FOLDER}/token",
            f"--health-port={names.HEALTH_PORT}",
            f"--api-port={names.API_PORT}",
            f"--tls-certificate={names.ADMIN_FOLDER}/tls.crt",
            f"--tls-key={names.ADMIN_FOLDER}/tls.key",
            f"--log-level={defaults.log_level}",
        ],
        "ports": [
            *({"name": one.name, "containerPort": one.port} for one in route.spec.listeners),
            {"name": "health", "containerPort": names.HEALTH_PORT},
            {"name": "api", "containerPort": names.API_PORT},
        ],
        "resources": _without_empty(
            {
                "requests": {**defaults.resources.requests, **route.spec.gateway.resources.requests},
                "limits": {**defaults.resources.limits, **route.spec.gateway.resources.limits},
            }
        ),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Never the DICOM port: each probe would be a connection without an association.
        "startupProbe": {
            **probe,
            "httpGet": {"path": "/healthz", **health},
            "periodSeconds": 1,
            "failureThreshold": 120,
        },
        "livenessProbe": {
            **probe,
            "httpGet": {"path": "/healthz", **health},
            "periodSeconds": 10,
            "failureThreshold": 6,
        },
        "readinessProbe": {
            **probe,
            "httpGet": {"path": "/readyz", **health},
            "periodSeconds": 2,
            "failureThreshold": 3,
        },
        "volumeMounts": [
            {"name": "configuration", "mountPath": names.CONFIGURATION_FOLDER, "readOnly": True},
            {"name": "admin", "mountPath": names.ADMIN_FOLDER, "readOnly": True},
            {"name": "secrets", "mountPath": names.SECRETS_FOLDER, "readOnly": True},
            {"name": "spool", "mountPath": names.SPOOL_FOLDER},
        ],
    }


def _mounted_sources(inputs: RouteInputs) -> list[Manifest]:
    """Return the Secrets and ConfigMaps that are needed, each optional: a missing one must not stop the pod."""
    wanted = {(one.kind, one.name, one.key) for one in inputs.files()}
    return [
        {
            "secret" if kind == "Secret" else "configMap": {
                "name": name,
                "optional": True,
                "items": [{"key": key, "path": names.mounted_file(kind, name, key)}],
            }
        }
        for kind, name, key in sorted(wanted, key=lambda one: (one[0] != "Secret", one))
    ]


def _identity_annotations(inputs: RouteInputs) -> dict[str, str]:
    """Return what makes new pods of a changed identity: webhooks give it to a pod when it is created."""
    wanted = identity.annotations(inputs)
    if not wanted:
        return {}
    text = json.dumps(wanted, sort_keys=True)
    return {names.IDENTITY_ANNOTATION: hashlib.sha256(text.encode()).hexdigest()[:16]}


def _template_spec(spec: TemplateSpec) -> Manifest:
    tolerations = [
        {key: value for key, value in one.model_dump(by_alias=True).items() if value not in ("", None)}
        for one in spec.tolerations
    ]
    return _without_empty(
        {
            "nodeSelector": spec.node_selector,
            "tolerations": tolerations,
            "affinity": _without_empty(spec.affinity.model_dump(by_alias=True)),
            "priorityClassName": spec.priority_class_name,
            "imagePullSecrets": [{"name": one.name} for one in spec.image_pull_secrets],
            "topologySpreadConstraints": [
                {"labelSelector": {"matchLabels": {"app.kubernetes.io/name": GATEWAY}}, **_document(one)}
                for one in spec.topology_spread_constraints or ()
            ],
            "hostAliases": [_document(one) for one in spec.host_aliases or ()],
            "dnsConfig": _document(spec.dns_config) if spec.dns_config is not None else None,
            "runtimeClassName": spec.runtime_class_name,
        }
    )


def _document(one: Model) -> Manifest:
    """Return a part of a pod's spec that is said as in core/v1, without what is empty."""
    document = _without_empty(one.model_dump(by_alias=True))
    if "options" in document:
        document["options"] = [_without_empty(option) for option in document["options"]]
    return document


def _without_empty(document: dict[str, Any]) -> Manifest:
    return {key: value for key, value in document.items() if value}
