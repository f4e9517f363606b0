"""Callers that a gateway refused, and why a request was refused."""

from datetime import datetime

from pydantic import Field

from .document import Document


class RefusedCaller(Document):
    """A caller that was refused, and how often. Titles are null where the connection was closed before they came.

    Where no presentation context was accepted, `abstractSyntaxes` has some that were proposed. Where it showed another
    certificate than those of its node, `certificateSHA256` is the digest of it. Titles and UIDs are the caller's own
    bytes: show them escaped.
    """

    calling_ae_title: str | None = Field(alias="callingAETitle")
    called_ae_title: str | None = Field(alias="calledAETitle")
    address: str
    listener: str
    reason: str
    abstract_syntaxes: list[str] = Field(alias="abstractSyntaxes", default_factory=list)
    certificate_sha256: str = Field(alias="certificateSHA256", default="")
    count: int
    first_time: datetime
    last_time: datetime


class RefusedDocument(Document):
    """The callers that were refused since the gateway started, the last one first; at most 200 are remembered."""

    callers: list[RefusedCaller]


class ErrorDocument(Document):
    """Why a request was refused, and what to do."""

    error: str
