"""The names of everything that belongs to a route: objects, labels, ports, paths. Nothing is named elsewhere."""

from typing import Final

CONFIGURATION_VERSION: Final = 1
CONFIGURATION_KEY: Final = f"v{CONFIGURATION_VERSION}.json"
ACCEPTED_KEY: Final = "accepted.json"
"""While the manifest is not accepted: what was last accepted, before anything was taken out of it. An earlier release
kept it beside the configuration, where two large ones had no room."""

MAC_SUFFIX: Final = ".mac"
"""Behind the key of a configuration: its MAC, by which the gateway knows that the operator wrote it."""

HEALTH_PORT: Final = 8080
API_PORT: Final = 8443

CONFIGURATION_FOLDER: Final = "/etc/dicomroute/configuration"
SECRETS_FOLDER: Final = "/etc/dicomroute/secrets"
ADMIN_FOLDER: Final = "/etc/dicomroute/admin"
SPOOL_FOLDER: Final = "/var/lib/dicomroute"

ROUTE_LABEL: Final = "dicomroute.dev/route"
ROUTE_UID_LABEL: Final = "dicomroute.dev/route-uid"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "dicomroute-operator"
"""The operator: the value of the label, and the field manager of all that it applies."""

PAUSED_ANNOTATION: Final = "dicomroute.dev/paused"
"""On a route, with the value true: its objects stay as they are."""
APPLIED_ANNOTATION: Final = "dicomroute.dev/applied"
"""On every child: the hash of what was applied, so that a field that is no longer wanted is noticed."""
ADMIN_SECRET_ANNOTATION: Final = "dicomroute.dev/admin-secret"  # noqa: S105
"""On the StatefulSet: the hash of the admin Secret, which the operator may write and not read."""
GENERATION_ANNOTATION: Final = "dicomroute.dev/generation"
"""On the StatefulSet: the generation of the route that it was last applied for."""
TEMPLATE_ANNOTATION: Final = "dicomroute.dev/template"
"""On the StatefulSet: the hash of the pods that were asked for."""
OPERATOR_ANNOTATION: Final = "dicomroute.dev/operator"
"""On the StatefulSet: the operator that looks after the route, as its namespace and Lease."""
IMAGE_ANNOTATION: Final = "dicomroute.dev/image"
"""On the StatefulSet: the image that was asked for; a webhook may have made another of it."""
IDENTITY_ANNOTATION: Final = "dicomroute.dev/identity"
"""On pods whose service account is annotated with a cloud's identity: webhooks read that when a pod is created."""
CONFIGURATION_ANNOTATION: Final = "dicomroute.dev/configuration"
"""On pods: the hash of the configuration. Writing it makes the kubelet mount the new one at once."""


def gateway(route: str) -> str:
    """Return the name of the StatefulSet: at most 48 characters, as the label of its revision adds 11."""
    return f"{route}-gw"


def configuration(route: str) -> str:
    """Return the name of the ConfigMap: a new schema version is a new object, so that old pods keep theirs."""
    return f"{route}-gw-v{CONFIGURATION_VERSION}"


def accepted(route: str) -> str:
    """Return the name of the ConfigMap with the configuration that was last accepted, while another goes on."""
    return f"{route}-gw-accepted"


def service(route: str) -> str:
    """Return the name of the Service that modalities connect to."""
    return f"{route}-dicom"


def headless_service(route: str) -> str:
    """Return the name of the headless Service that gives the pods their names."""
    return f"{route}-gw-pods"


def admin_secret(route: str) -> str:
    """Return the name of the Secret with the credential of the admin API."""
    return f"{route}-gw-admin"


def claim(route: str, ordinal: int) -> str:
    """Return the name that the StatefulSet gives to a pod's claim."""
    return f"spool-{gateway(route)}-{ordinal}"


def mounted_file(kind: str, name: str, key: str) -> str:
    """Return where a key of a Secret or ConfigMap is, within the folder of mounted Secrets.

    No Secret has a name with capitals, so that none is taken for a ConfigMap.
    """
    return f"{name}/{key}" if kind == "Secret" else f"{kind}-{name}/{key}"
