"""Renders how requests to a target are authenticated and protected: what is secret is named as a file, never said."""

from typing import Any, Final

from dicomroute_operator.api.files import TLS_CERTIFICATE, TLS_KEY, BundleReference, TLSProfile, TLSSecretReference
from dicomroute_operator.api.listener import ListenerTLS
from dicomroute_operator.api.meta import Model, SecretKeyReference, field_name
from dicomroute_operator.api.node import NodeTLS, VerifyName
from dicomroute_operator.api.target import TLS, CloudTarget, Proxy

from . import names

_FILES: Final = {
    "password_secret_ref": ("passwordFile",),
    "token_secret_ref": ("tokenFile",),
    "client_secret_ref": ("clientSecretFile",),
    "key_secret_ref": ("keyFile",),
    "certificate_secret_ref": ("certificateFile", "keyFile"),
    "certificate_ref": ("certificateFile", "keyFile"),
    "client_ca_bundle_ref": ("clientCABundleFile",),
    "client_certificate_ref": ("clientCertificateFile", "clientKeyFile"),
    "ca_bundle_ref": ("caBundleFile",),
}


def auth(target: CloudTarget) -> dict[str, Any]:
    """Return the credential of a target."""
    return {"type": str(target.spec.auth.type), **_section(target.spec.auth.member)}


def tls(settings: TLS) -> dict[str, Any]:
    """Return what TLS trusts and shows."""
    return _section(settings)


def node_tls(settings: NodeTLS) -> dict[str, Any]:
    """Return how a node is called over TLS."""
    found = _with_profile(settings)
    return {**found, "verifyName": settings.verify_name is VerifyName.HOST}


def listener_tls(settings: ListenerTLS) -> dict[str, Any]:
    """Return how a listener speaks TLS."""
    return {**_with_profile(settings), "handshakeTimeoutSeconds": settings.handshake_timeout_seconds}


def _with_profile(settings: NodeTLS | ListenerTLS) -> dict[str, Any]:
    """Return a section that says its profile where it is another one: a gateway of an earlier release has one alone."""
    found = _section(settings)
    if settings.profile is TLSProfile.BCP195_RFC9325:
        del found["profile"]
    return found


def proxy(settings: Proxy) -> dict[str, Any]:
    """Return the forward proxy."""
    return {**_section(settings), **_section(settings.basic)}


def _section(model: Model | None) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in type(model).model_fields if model is not None else ():
        value = getattr(model, name)
        match value:
            case None | "" | []:
                continue
            case SecretKeyReference():
                result[_FILES[name][0]] = names.mounted_file("Secret", value.name, value.key)
            case BundleReference():
                result[_FILES[name][0]] = names.mounted_file(str(value.kind), value.name, value.key)
            case TLSSecretReference():
                for file, key in zip(_FILES[name], (TLS_CERTIFICATE, TLS_KEY), strict=True):
                    result[file] = names.mounted_file("Secret", value.name, key)
            case list():
                result[field_name(name)] = [
                    one.model_dump(by_alias=True, mode="json") if isinstance(one, Model) else one for one in value
                ]
            case Model():
                continue  # the credential of a proxy, which `proxy` asks for
            case _:
                result[field_name(name)] = str(value)
    return result
