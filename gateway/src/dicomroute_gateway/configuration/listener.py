"""Listeners, and who may associate with them."""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from pydantic import Field, model_validator

from .section import Section


class SourcePolicy(StrEnum):
    """Who may associate with a listener."""

    NODES = "Nodes"
    ANY = "Any"


class NodeCertificate(Section):
    """A certificate that a node shows: one of a name in its subjectAltName, its common name, or the SHA-256 of its DER
    in lower-case hexadecimal. The others are "".
    """

    dns_name: str = ""
    common_name: str = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")


class AllowedCaller(Section):
    """A DicomNode that may associate: the titles it calls with and the networks it calls from.

    With `certificates` it has to show one of them.
    """

    node: str
    calling_ae_titles: list[str]
    any_address: bool = False
    networks: list[IPv4Network | IPv6Network] = Field(default=[])
    certificates: list[NodeCertificate] = Field(default=[])


class Sources(Section):
    """Who may associate with one listener."""

    policy: SourcePolicy
    callers: list[AllowedCaller] = Field(default=[])


class ClientCertificates(StrEnum):
    """What a listener makes of certificates of its callers."""

    REQUIRED = "Required"
    OPTIONAL = "Optional"
    IGNORED = "Ignored"


class TlsProfile(StrEnum):
    """A secure transport connection profile: PS3.15 B.12, and B.13 with a list of algorithms of its own."""

    BCP195_RFC9325 = "BCP195RFC9325"
    MODIFIED_BCP195_RFC9325 = "ModifiedBCP195RFC9325"


class ListenerTls(Section):
    """How a listener speaks TLS; files are SECRET/KEY and ConfigMap-NAME/KEY."""

    certificate_file: str
    key_file: str
    client_ca_bundle_file: str = ""
    client_certificates: ClientCertificates = ClientCertificates.IGNORED
    handshake_timeout_seconds: int = Field(default=10, ge=1)
    profile: TlsProfile = TlsProfile.BCP195_RFC9325

    @model_validator(mode="after")
    def _has_authorities(self) -> Self:
        if self.client_certificates is not ClientCertificates.IGNORED and not self.client_ca_bundle_file:
            raise ValueError("client certificates are looked at, and no authority is named for them")
        return self


class ListenerMode(StrEnum):
    """Whether a listener accepts associations."""

    RUNNING = "Running"
    REFUSE_ASSOCIATIONS = "RefuseAssociations"


class Listener(Section):
    """One DIMSE port of the gateway. Time-outs in seconds, sizes in bytes. With `tls` it speaks nothing else."""

    name: str
    mode: ListenerMode = ListenerMode.RUNNING
    port: int = Field(ge=0, le=65535)
    ae_titles: list[str] = Field(min_length=1)
    sources: Sources
    max_associations: int = Field(ge=1)
    max_associations_per_caller: int | None = Field(default=None, ge=1)
    """None: three quarters of all where there are several callers."""
    max_pdu_bytes: int = Field(ge=4096)
    acse_timeout_seconds: int = Field(ge=1)
    idle_timeout_seconds: int = Field(ge=1)
    stall_timeout_seconds: int = Field(ge=1)
    tls: ListenerTls | None = None
