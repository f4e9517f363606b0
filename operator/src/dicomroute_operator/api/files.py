"""What manifests name and gateways have as files: keys of Secrets and ConfigMaps, certificates among them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import Field

from .meta import Key, Model, ObjectName, SecretKeyReference, field_name

TLS_CERTIFICATE: Final = "tls.crt"
TLS_KEY: Final = "tls.key"


@dataclass(frozen=True, order=True)
class FileReference:
    """A key of a Secret or ConfigMap that a gateway needs as a file; `field` is who names it."""

    kind: str
    name: str
    key: str
    field: str


class TLSSecretReference(Model):
    """A Secret of type kubernetes.io/tls of the same namespace: tls.crt and tls.key in PEM."""

    name: ObjectName = Field(
        description="Name of the Secret. Another name rolls the gateway's pods; changed contents are used without a "
        "restart."
    )


class TLSProfile(StrEnum):
    """A secure transport connection profile of PS3.15: B.12 and B.13."""

    BCP195_RFC9325 = "BCP195RFC9325"
    MODIFIED_BCP195_RFC9325 = "ModifiedBCP195RFC9325"


PROFILE: Final = (
    "BCP195RFC9325 (PS3.15 B.12): TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM. ModifiedBCP195RFC9325 (B.13): also TLS "
    "1.2 with ChaCha20 and AES-CCM, but only RSA keys of 2048 bits or more and certificates signed with SHA-256 or "
    "better. It does not include Camellia, because OpenSSL has no Camellia with GCM, nor suites with short tags "
    "(CCM_8)."
)


class BundleKind(StrEnum):
    """Where certificates to trust may be: they are no secret."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105


class BundleReference(Model):
    """A key of a ConfigMap or Secret of the same namespace with CA certificates in PEM."""

    kind: BundleKind = Field(description="ConfigMap or Secret.")
    name: ObjectName = Field(description="Name of the object. Another name rolls the gateway's pods.")
    key: Key = Field(description="Key in the object. A changed value is used within seconds, without a restart.")


def files_of(model: Model | None, path: str) -> Iterator[FileReference]:
    """Yield what a part of a manifest names, wherever in it."""
    match model:
        case None:
            return
        case SecretKeyReference():
            yield FileReference("Secret", model.name, model.key, path)
        case TLSSecretReference():
            yield FileReference("Secret", model.name, TLS_CERTIFICATE, path)
            yield FileReference("Secret", model.name, TLS_KEY, path)
        case BundleReference():
            yield FileReference(str(model.kind), model.name, model.key, path)
        case _:
            for name in type(model).model_fields:
                value = getattr(model, name)
                if isinstance(value, Model):
                    yield from files_of(value, f"{path}.{field_name(name)}")
