"""Storage commitment: who is promised that instances are kept, and on which grounds."""

from pydantic import Field

from .destinations import DestinationKey, NodeTls
from .section import Section


class CommitmentRequestor(Section):
    """A node that may ask for storage commitment, and how it is called to be reported to. Time-outs in seconds."""

    node: str
    calling_ae_titles: list[str]
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    called_ae_title: str = Field(min_length=1, max_length=16)
    acse_timeout_seconds: int = Field(default=30, ge=1)
    stall_timeout_seconds: int = Field(default=60, ge=1)
    response_timeout_seconds: int = Field(default=120, ge=1)
    tls: NodeTls | None = None


class StorageCommitment(Section):
    """Who is promised that instances are kept, and on which grounds (PS3.4 annex J). Durations in seconds.

    An instance is committed to once `destinations` have it; without any, once all have it that are required. After
    `wait_seconds` it is not. A report is made on the association of its request for `same_association_seconds`, and
    tried on others for `report_for_seconds`.
    """

    listeners: list[str] = Field(min_length=1)
    destinations: list[DestinationKey] = Field(default=[])
    wait_seconds: int = Field(default=86_400, ge=1)
    same_association_seconds: int = Field(default=10, ge=0)
    report_for_seconds: int = Field(default=86_400, ge=1)
    requestors: list[CommitmentRequestor] = Field(default=[])
