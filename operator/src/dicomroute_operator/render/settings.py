"""What the operator adds to a route's own inputs: where it runs, and the platform's defaults for gateways."""

from typing import Annotated

from pydantic import Field

from dicomroute_operator.api.meta import Model
from dicomroute_operator.api.pod import ResourceRequirements, TemplateMeta, TemplateSpec


class GatewayDefaults(Model):
    """What a platform says of all gateways; a route's own word comes first."""

    resources: ResourceRequirements = ResourceRequirements()
    storage_class_name: str = ""
    pod_template: Annotated[TemplateSpec, Field(alias="podTemplateSpec")] = TemplateSpec()
    pod_metadata: TemplateMeta = TemplateMeta()
    service_account_annotations: dict[str, str] = Field(default={})
    log_level: str = "info"
    monitoring_namespaces: list[str] = Field(
        default=[], description="Namespaces that may read metrics, beside the operator's."
    )
    machine_identities: list[str] = Field(
        default=[], description="Types of credentials that may use an identity of the machine: MACHINE_IDENTITIES."
    )
    user: int | None = 65532
    """User and group of the pods; None leaves them to the cluster, as OpenShift wants it."""


class RenderSettings(Model):
    """Where the operator runs and which gateway it brings."""

    gateway_image: str
    operator_namespace: str
    defaults: GatewayDefaults = GatewayDefaults()
