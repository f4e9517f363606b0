"""The identities that clouds give to pods: what their service account and their labels have to say for it.

Azure's webhook gives its token to pods with the label; a request then names its client itself, so that several targets
may be several clients. GKE and EKS go by the annotation alone, of which a service account has one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .inputs import RouteInputs
from .target import CloudTarget

AZURE_CLIENT_ID: Final = "azure.workload.identity/client-id"
AZURE_TENANT_ID: Final = "azure.workload.identity/tenant-id"
AZURE_USE_LABEL: Final = "azure.workload.identity/use"
GOOGLE_SERVICE_ACCOUNT: Final = "iam.gke.io/gcp-service-account"
AWS_ROLE_ARN: Final = "eks.amazonaws.com/role-arn"

_OF_ONE_VALUE: Final = (GOOGLE_SERVICE_ACCOUNT, AWS_ROLE_ARN)


@dataclass(frozen=True)
class Conflict:
    """Two targets of one route that need different values of an annotation."""

    annotation: str
    target: str
    value: str
    other_target: str
    other_value: str


def annotations(inputs: RouteInputs) -> dict[str, str]:
    """Return the annotations of the service account; where clients of Azure differ, none is the account's own."""
    found: dict[str, set[str]] = {}
    for target in _targets(inputs):
        for name, value in _annotations(target):
            found.setdefault(name, set()).add(value)
    return {name: min(values) for name, values in sorted(found.items()) if len(values) == 1 or name in _OF_ONE_VALUE}


def pod_labels(inputs: RouteInputs) -> dict[str, str]:
    """Return the labels by which webhooks know the pods that they give a token to."""
    uses = any(target.spec.auth.azure_workload_identity is not None for target in _targets(inputs))
    return {AZURE_USE_LABEL: "true"} if uses else {}


def conflicts(inputs: RouteInputs) -> Iterator[Conflict]:
    """Yield the targets whose identities one service account cannot have together."""
    first: dict[str, tuple[str, str]] = {}
    for target in _targets(inputs):
        for name, value in _annotations(target):
            other, known = first.setdefault(name, (target.metadata.name, value))
            if name in _OF_ONE_VALUE and known != value:
                yield Conflict(name, target.metadata.name, value, other, known)


def _targets(inputs: RouteInputs) -> list[CloudTarget]:
    return [target for one in inputs.called() if (target := inputs.target_of(one)) is not None]


def _annotations(target: CloudTarget) -> Iterator[tuple[str, str]]:
    auth = target.spec.auth
    if auth.azure_workload_identity is not None:
        yield AZURE_CLIENT_ID, auth.azure_workload_identity.client_id
        if auth.azure_workload_identity.tenant_id:
            yield AZURE_TENANT_ID, auth.azure_workload_identity.tenant_id
    if auth.google_workload_identity is not None and auth.google_workload_identity.service_account:
        yield GOOGLE_SERVICE_ACCOUNT, auth.google_workload_identity.service_account
    if auth.aws_web_identity is not None and auth.aws_web_identity.role_arn:
        yield AWS_ROLE_ARN, auth.aws_web_identity.role_arn
