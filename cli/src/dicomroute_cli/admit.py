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
    "CalledAETitle": "it calls a title that is not served here: correct that at the device, or add the title to "
    "aeTitles of the listener",
    "CertificateNotShown": "the DicomNode with that title has certificates, and it showed none: turn TLS with its "
    "certificate on at the device, and see that the listener verifies it (tls.clientCertificates)",
    "RefusingAssociations": "the route refuses associations: set spec.mode to Running when it may take them again",
    "SpoolFull": "the spool is full: see docs/runbooks/spool-full.md",
    "TooManyAssociationsOfCaller": "the device has all the places that one caller may have: raise the listener's "
    "maxAssociationsPerCaller, or let it open fewer",
    "TooManyAssociations": "the listener has no place free: raise its maxAssociations, or let the device open fewer",
    "ApplicationContext": "it does not speak DICOM's application context: what calls there is no DICOM device",
    "TLSHello": "it begins a TLS handshake, and this port does not encrypt: turn TLS off at the device, or give it a "
    "port that has TLS",
    "DICOMWithoutTLS": "it does not encrypt, and this port wants TLS: turn TLS on at the device, or give it a port "
    "without",
    "ClientCertificateMissing": "it shows no certificate, and the listener wants one: give it one, or set the "
    "listener's tls.clientCertificates to Optional or Ignored",
    "ClientCertificateUntrusted": "its certificate is of an authority that the listener does not know: add that to "
    "what tls.clientCABundleRef names",
    "ClientCertificateExpired": "its certificate has expired: renew it at the device",
    "ClientCertificateNotYetValid": "its certificate is not valid yet: look at the clocks of the device and of the "
    "authority",
    "CertificateRefusedByDevice": "it does not trust the gateway's certificate: give it the authority that issued that",
    "TLSVersionUnsupported": "it speaks no TLS 1.2: update it, or give it a port without TLS in a trusted network",
    "NoSharedCipher": "it has none of the cipher suites of the listener's tls.profile: update it",
    "HandshakeTimedOut": "it did not finish its TLS handshake in time: look at the network between",
    "HandshakeFailed": "its TLS handshake failed: the gateway's log says why",
    "CertificateUnusable": "the gateway has no usable certificate: look at the Secret of the listener's "
    "tls.certificateRef",
    "HTTPRequest": "it speaks HTTP: a browser, a probe, or a DICOMweb client that was given the DIMSE port",
    "HL7Message": "it sends HL7 (MLLP): the interface engine was given the DIMSE port",
    "SSHClient": "it speaks SSH: what calls there is no DICOM device",
    "ProxyProtocol": "a load balancer puts the PROXY protocol in front: turn that off there",
    "MalformedRequest": "its A-ASSOCIATE-RQ is not as PS3.8 wants it: the gateway's log says where",
    "IncompleteRequest": "it sent the beginning of a request and no more: look at the network between, at its MTU and "
    "at firewalls that inspect DICOM",
    "NotDICOM": "it does not speak DICOM: what calls there is no DICOM device",
    "ProtocolVersion": "it speaks another version of the upper layer protocol: what calls there is no DICOM device",
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
            f"if you know {title!r}: name the node in sources of listener {where}, or give it the labels that its "
            "selector asks for. Where a node has the title already, add the networks to that one"
        ),
        manifest,
    )


def _sentence(caller: RefusedCaller) -> str:
    reason, address, listener = caller.reason, caller.address, caller.listener
    if reason == "SourceAddress" and caller.calling_ae_title is not None:
        sentence = (
            f"a DicomNode has that title, and not that address: add {ip_network(address)} to the allowedSources that "
            "it has, if you know who calls"
        )
    elif reason == "SourceAddress":
        sentence = (
            f"its connection was closed before it said a title: add {ip_network(address)} to allowedSources of the "
            "DicomNode that calls from there"
        )
    elif reason == "CertificateOfAnotherNode":
        sentence = (
            "the DicomNode with that title has other certificates than the one that it showed: if you know the device, "
            f"add {{sha256: {caller.certificate_sha256 or 'its fingerprint'}}} to spec.certificates"
        )
    elif reason == "CallingAETitle":
        sentence = "a DicomNode has that title, and this listener's sources do not name it: name it there"
    elif reason == "NoContextAccepted":
        proposed = ", ".join(
            f"{uid} {UID(uid).name if UID(uid).name != uid else ''}".rstrip() for uid in caller.abstract_syntaxes
        )
        sentence = (
            f"it associated, and none of what it proposed is served here ({proposed or 'nothing'}): let it store "
            "instances alone on this port, and query or print elsewhere"
        )
    else:
        sentence = _NO_MANIFEST.get(reason, "no DicomNode helps: the gateway's log says more")
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
