"""What a gateway reports at /api/v1/status, read leniently: gateways older and newer than the operator answer too."""

from pydantic import Field

from .meta import Model
from .route_status import Count, DestinationStatus, Instances


class Problem(Model):
    """Something that a person has to mend: a section of the configuration, a listener or the spool."""

    section: str = ""
    reason: str = ""
    message: str = ""


class ReportedConfiguration(Model):
    """The configuration in force. `hash` is that of the text that was last read."""

    hash: str = ""
    generation: int = 0
    findings: list[Problem] = Field(default=[])


class ReportedFinding(Model):
    """One thing that is known of a target."""

    status: str = "Unknown"
    reason: str = ""
    message: str = ""


class ReportedProbe(Model):
    """What a gateway found when it last probed a target; the time of that is no news."""

    reachable: ReportedFinding = ReportedFinding()
    authenticated: ReportedFinding = ReportedFinding()
    ready: ReportedFinding = ReportedFinding()


class ReportedDestination(DestinationStatus):
    """The deliveries to one destination; `credential_expires_time` where its credential says when it ends."""

    in_flight: Count = 0
    held_reason: str = ""
    state: str = "Active"
    """Waiting: after a fault, until it is tried again. Paused: it refuses whatever comes."""
    oldest_owed_time: str | None = None
    credential_expires_time: str | None = None
    probe: ReportedProbe | None = None


class ReportedSpool(Model):
    """How full the spool is, in bytes, and how fast it fills; 0 when that is not known."""

    used_bytes: int = 0
    capacity_bytes: int = 0
    watermark_bytes: int = 0
    fill_bytes_per_second: int = 0


class ReportedDeliveries(Model):
    """Deliveries by state, instances that are held without one included."""

    pending: Count = 0
    in_flight: Count = 0
    held: Count = 0
    skipped: Count = 0
    dead_lettered: Count = 0
    delivered_total: Count = 0


class GatewayReport(Model):
    """How a gateway stands."""

    gateway_version: str = ""
    ready: bool = False
    problems: list[Problem] = Field(default=[])
    configuration: ReportedConfiguration | None = None
    instances: Instances | None = None
    deliveries: ReportedDeliveries | None = None
    oldest_owed_time: str | None = None
    destinations: list[ReportedDestination] = Field(default=[])
    spool: ReportedSpool | None = None
    unmounted_secrets: list[str] = Field(
        default=[], description="Files (SECRET/KEY, ConfigMap-NAME/KEY) that are needed and not mounted."
    )
