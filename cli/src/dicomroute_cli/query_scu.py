"""Queries and retrievals put to a gateway by DIMSE, as a workstation puts them (PS3.4 annex C)."""

import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from .output import Failure

FIND: Final = {"study": "1.2.840.10008.5.1.4.1.2.2.1", "patient": "1.2.840.10008.5.1.4.1.2.1.1"}
MOVE: Final = {"study": "1.2.840.10008.5.1.4.1.2.2.2", "patient": "1.2.840.10008.5.1.4.1.2.1.2"}
"""SOP classes of the Study Root and Patient Root models (PS3.4 C.6)."""
_PENDING: Final = (0xFF00, 0xFF01)
_MEANINGS: Final = {
    0x0122: "SOP class not supported",
    0x0124: "not authorized: the node is not a client of queryRetrieve",
    0xA700: "out of resources: narrow the query, or retry",
    0xA701: "unable to determine the instances to retrieve: an archive did not answer",
    0xA702: "no instance could be stored at the destination",
    0xA801: "this gateway has no move destination with this AE title",
    0xA900: "the identifier does not match the level or the model",
    0xB000: "some instances failed, or were stored with a warning",
    0xC000: "unable to process: an archive did not answer",
    0xFE00: "cancelled",
}


@dataclass(frozen=True)
class CalledGateway:
    """Which gateway to call, as whom, and over which TLS, if any."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Ended:
    """How a request ended: its final status, and how many sub-operations came to what."""

    status: int
    comment: str
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """What a person is told of the status."""
        meaning = _MEANINGS.get(self.status, "unable to process" if self.status >> 12 == 0xC else "refused")
        return f"status {self.status:04X}: {meaning}" + (f" ({self.comment})" if self.comment else "")


def identifier(level: str, keys: Sequence[str]) -> Dataset:
    """Return the identifier with these keys, KEYWORD=VALUE or KEYWORD alone. Raises Failure."""
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.QueryRetrieveLevel = level.upper()
    for key in keys:
        keyword, _, value = key.partition("=")
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise Failure(f"there is no attribute {keyword}: write its keyword, such as PatientID", 2)
        vr = dictionary_VR(tag)
        if vr == "SQ":
            raise Failure(f"{keyword} is a sequence: this command cannot query sequences", 2)
        values = value.split("\\") if "\\" in value else value
        data_set.add(DataElement(tag, vr, values, validation_mode=config.IGNORE))
    return data_set


def trusting(ca_bundle: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return the TLS that a gateway is called with: who is trusted, and what is shown. Raises Failure."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca_bundle is not None:
            context.load_verify_locations(cafile=ca_bundle)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Failure(f"the certificates cannot be used: {error}", 2) from error
    return context


class Asking:
    """An association with a gateway for one kind of request; release it in the end."""

    def __init__(self, gateway: CalledGateway, abstract_syntax: str) -> None:
        """Associate. Raises Failure."""
        self._syntax = abstract_syntax
        entity = AE(ae_title=gateway.calling_ae_title)
        entity.connection_timeout = entity.acse_timeout = 15
        entity.dimse_timeout = entity.network_timeout = 60
        entity.add_requested_context(abstract_syntax)
        self._association: Association = entity.associate(
            gateway.host,
            gateway.port,
            ae_title=gateway.called_ae_title,
            tls_args=(gateway.tls, gateway.host) if gateway.tls is not None else None,
        )
        if self._association.is_rejected:
            raise Failure(f"the gateway rejects {gateway.calling_ae_title}: run `dicomroute refused` to see why")
        if not self._association.is_established:
            # pynetdicom takes one rejection in a hundred for an abort, where the connection closes right behind it.
            raise Failure(
                f"cannot associate with {gateway.host}:{gateway.port} as {gateway.called_ae_title}: if a gateway "
                "listens there, run `dicomroute refused` to see whether it refused you"
            )
        if not self._association.accepted_contexts:
            self.release()
            raise Failure(
                "the listener does not serve this request: add it to queryRetrieve.listeners, and for a move add "
                "queryRetrieve.moveDestinations"
            )  # fmt: skip

    def find(self, wanted: Dataset) -> Iterator[Dataset | Ended]:
        """Yield what matches, and how it ended."""
        for status, found in self._association.send_c_find(wanted, self._syntax):
            if "Status" not in status:
                raise Failure("the gateway did not answer in time, or ended the association")
            if status.Status in _PENDING and found is not None:
                yield found
            else:
                yield _ended(status, found)

    def move(self, wanted: Dataset, destination: str) -> Iterator[Ended]:
        """Yield how it stands, and at last how it ended."""
        for status, found in self._association.send_c_move(wanted, destination, self._syntax):
            if "Status" not in status:
                raise Failure("the gateway did not answer in time, or ended the association")
            yield _ended(status, found)

    def release(self) -> None:
        """Release the association."""
        self._association.release()


def is_pending(ended: Ended) -> bool:
    """Return whether others follow."""
    return ended.status in _PENDING


def _ended(status: Dataset, found: Dataset | None) -> Ended:
    def number(name: str) -> int:
        return int(status.get(f"NumberOf{name}Suboperations") or 0)

    failed: Any = found.get("FailedSOPInstanceUIDList") if found is not None else None
    uids = [] if not failed else [failed] if isinstance(failed, str) else list(failed)
    return Ended(
        int(status.Status),
        str(status.get("ErrorComment") or ""),
        number("Completed"),
        number("Failed"),
        number("Warning"),
        [str(uid) for uid in uids],
    )
