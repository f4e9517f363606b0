"""What would let in the callers that a gateway refused: a DicomNode, or a sentence why none does. Pure.

Titles are whatever bytes a stranger sent. What the schema of DicomNode refuses makes no manifest.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from pydicom.uid import UID

from dicomroute_client.documents.refused import RefusedCaller
from dicomroute_operator.api.meta import API_VERSION
from dicomroute_operator.api.node import DicomNode

from .manifests.world import checked
from .output import printable

Json = dict[str, Any]

_NO_MANIFEST: Final = {
    "CalledAETitle": (
        "the called AE title is not served here: correct it on the device, or add it to the aeTitles of the listener"
    ),
    "CertificateNotShown": (
        "the DicomNode with that title has certificates, but the caller showed none: enable TLS with the certificate "
        "on the device, and check that the listener verifies it (tls.clientCertificates)"
    ),
    "RefusingAssociations": (
        "the route or the listener refuses associations: set spec.mode, or mode of the listener, to Running"
    ),
    "SpoolFull": "the spool is full: see docs/runbooks/spool-full.md",
    "TooManyAssociationsOfCaller": (
        "the device has reached the limit of one caller: raise the listener's maxAssociationsPerCaller, or let the "
        "device open fewer associations"
    ),
    "TooManyAssociations": (
        "the listener has reached its limit: raise its maxAssociations, or let the device open fewer associations"
    ),
    "ApplicationContext": "the caller does not use DICOM's application context: it is not a DICOM device",
    "TLSHello": (
        "the caller starts a TLS handshake, but this port does not use TLS: disable TLS on the device, or use a port "
        "with TLS"
    ),
    "DICOMWithoutTLS": (
        "the caller does not use TLS, but this port requires it: enable TLS on the device, or use a port without TLS"
    ),
    "ClientCertificateMissing": (
        "the caller shows no certificate, but the listener requires one: install one on the device, or set the "
        "listener's tls.clientCertificates to Optional or Ignored"
    ),
    "ClientCertificateUntrusted": (
        "the caller's certificate is signed by an unknown authority: add the authority to tls.clientCABundleRef"
    ),
    "ClientCertificateExpired": "the caller's certificate has expired: renew it on the device",
    "ClientCertificateNotYetValid": (
        "the caller's certificate is not valid yet: check the clocks of the device and of the authority"
    ),
    "CertificateRefusedByDevice": (
        "the caller does not trust the gateway's certificate: install the authority of that certificate on the device"
    ),
    "TLSVersionUnsupported": (
        "the caller does not support TLS 1.2: update it, or use a port without TLS on a trusted network"
    ),
    "NoSharedCipher": "the caller supports none of the cipher suites of the listener's tls.profile: update it",
    "HandshakeTimedOut": "the caller did not finish its TLS handshake in time: check the network between",
    "HandshakeFailed": "the caller's TLS handshake failed: the gateway's log says why",
    "CertificateUnusable": (
        "the gateway has no usable certificate: check the Secret in the listener's tls.certificateRef"
    ),
    "HTTPRequest": "the caller speaks HTTP: a browser, a probe, or a DICOMweb client uses the DIMSE port by mistake",
    "HL7Message": "the caller sends HL7 (MLLP): an interface engine uses the DIMSE port by mistake",
    "SSHClient": "the caller speaks SSH: it is not a DICOM device",
    "ProxyProtocol": "a load balancer adds the PROXY protocol: disable it there",
    "MalformedRequest": "the caller's A-ASSOCIATE-RQ violates PS3.8: the gateway's log says where",
    "IncompleteRequest": (
        "the caller sent only the beginning of a request: check the network between, its MTU, and firewalls that "
        "inspect DICOM"
    ),
    "NotDICOM": "the caller does not speak DICOM: it is not a DICOM device",
    "ProtocolVersion": "the caller uses another version of the upper layer protocol: it is not a DICOM device",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about callers, in a sentence of visible characters; with a manifest where one helps."""

    sentence: str
    manifest: Json | None = None


def advices(callers: Iterable[RefusedCaller]) -> list[Advice]:
    """Return what to do about refused callers, as `/api/v1/refused` has them; one manifest for each title."""
    several = list(callers)
    addresses: dict[str, dict[str, None]] = {}
    listeners: dict[str, dict[str, None]] = {}
    others: dict[str, None] = {}
    known = {one.calling_ae_title for one in several if one.reason == "SourceAddress"}
    for one in several:
        title = one.calling_ae_title
        if title is not None and title not in known and one.reason == "CallingAETitle":
            addresses.setdefault(title, {})[one.address] = None
            listeners.setdefault(title, {})[one.listener] = None
        else:
            others[_sentence(one)] = None
    found: list[Advice] = []
    taken: set[str] = set()
    for title, seen in addresses.items():
        name = _free_name(title, taken)
        advice = _node(title, name, list(seen), list(listeners[title]))
        if advice.manifest is not None:
            taken.add(name)
        found.append(advice)
    return found + [Advice(sentence) for sentence in others]


def _node(title: str, name: str, addresses: Sequence[str], listeners: Sequence[str]) -> Advice:
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "DicomNode",
        "metadata": {"name": name},
        "spec": {"aeTitle": title, "allowedSources": sorted(str(ip_network(one)) for one in addresses)},
    }
    _, errors = checked(DicomNode, manifest)
    if errors:
        field, message = errors[0]
        return Advice(printable(f"no DicomNode can have the title {title!r}: {field}: {message}"))
    where = ", ".join(listeners)
    return Advice(
        printable(
            f"if you know {title!r}: name the node in the sources of listener {where}, or add the labels of its "
            "selector. If a node already has this title, add the networks to that node"
        ),
        manifest,
    )


def _sentence(caller: RefusedCaller) -> str:
    reason, address, listener = caller.reason, caller.address, caller.listener
    if reason == "SourceAddress" and caller.calling_ae_title is not None:
        sentence = (
            f"a DicomNode has this title, but not this address: if you know the caller, add {ip_network(address)} to "
            "the node's allowedSources"
        )
    elif reason == "SourceAddress":
        sentence = (
            f"the connection was closed before the caller sent a title: add {ip_network(address)} to the "
            "allowedSources of the DicomNode at that address"
        )
    elif reason == "CertificateOfAnotherNode":
        sentence = (
            "the DicomNode with this title has other certificates than the caller showed: if you know the device, add "
            f"{{sha256: {caller.certificate_sha256 or 'its fingerprint'}}} to spec.certificates"
        )
    elif reason == "CallingAETitle":
        sentence = "a DicomNode has this title, but this listener's sources do not name it: add it there"
    elif reason == "NoContextAccepted":
        proposed = ", ".join(
            f"{uid} {UID(uid).name if UID(uid).name != uid else ''}".rstrip() for uid in caller.abstract_syntaxes
        )
        sentence = (
            f"the association was accepted, but none of its proposals is served here ({proposed or 'nothing'}): use "
            "this port only to store instances, and query or print elsewhere"
        )
    else:
        sentence = _NO_MANIFEST.get(reason, "a DicomNode cannot fix this: the gateway's log says more")
    called = f" (called {caller.called_ae_title!r})" if reason == "CalledAETitle" else ""
    title = "" if caller.calling_ae_title is None else f"{caller.calling_ae_title!r} at "
    return printable(f"{title}{address}, listener {listener}, {reason}{called}: {sentence}")


def _free_name(title: str, taken: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "caller"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
