"""`dicomroute find` and `dicomroute move`: put a query or a retrieval to a gateway, as a workstation does."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydicom.dataset import Dataset

from dicomroute_cli.output import Failure, Format, print_data, print_error, print_table
from dicomroute_cli.query_scu import FIND, MOVE, Asking, CalledGateway, Ended, identifier, is_pending, trusting

from .options import Output


class Model(StrEnum):
    """The information model (PS3.4 C.6)."""

    STUDY = "study"
    PATIENT = "patient"


class Level(StrEnum):
    """The Query/Retrieve Level."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


_SHOWN = {
    Level.PATIENT: ("PatientID", "PatientName"),
    Level.STUDY: ("PatientID", "PatientName", "StudyDate", "ModalitiesInStudy", "StudyInstanceUID"),
    Level.SERIES: ("StudyInstanceUID", "Modality", "SeriesNumber", "SeriesInstanceUID"),
    Level.IMAGE: ("StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "SOPInstanceUID"),
}
_WIDE = {
    Level.PATIENT: (),
    Level.STUDY: ("ModalitiesInStudy",),
    Level.SERIES: ("StudyInstanceUID",),
    Level.IMAGE: ("StudyInstanceUID", "SeriesInstanceUID"),
}
"""What a table of 120 columns has no room for: it is known where it was a key with a value."""

Address = Annotated[str, typer.Argument(help="The gateway's listener for queries.", metavar="HOST:PORT")]
Called = Annotated[str, typer.Option(help="AE title of the listener.", metavar="AE")]
Calling = Annotated[str, typer.Option(help="AE title to call with, of a node that may query.", metavar="AE")]
AtLevel = Annotated[Level, typer.Option("--level", case_sensitive=False, help="Query/Retrieve Level.")]
InModel = Annotated[Model, typer.Option("--model", help="Information model: Study Root or Patient Root.")]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        "-k",
        help=(
            "Attribute keyword and the value to match. Separate several values with backslashes. Without a value, the "
            "attribute is only returned."
        ),
        metavar="KEYWORD[=VALUE]",
    ),
]
Tls = Annotated[bool, typer.Option("--tls", help="Use TLS. Without a bundle, the system's authorities are trusted.")]
CaBundle = Annotated[Path | None, typer.Option(help="Authorities to trust, in PEM.", metavar="FILE")]
Certificate = Annotated[Path | None, typer.Option(help="A client certificate, in PEM.", metavar="FILE")]
Key = Annotated[
    Path | None, typer.Option("--certificate-key", help="Key of the client certificate, in PEM.", metavar="FILE")
]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of matches to print.")]


def find(
    address: Address,
    called: Called,
    calling: Calling,
    level: AtLevel = Level.STUDY,
    model: InModel = Model.STUDY,
    keys: Keys = None,
    limit: Limit = 100,
    tls: Tls = False,
    ca_bundle: CaBundle = None,
    certificate: Certificate = None,
    certificate_key: Key = None,
    output: Output = Format.TABLE,
) -> None:
    """Find patients, studies, series or instances through a gateway (C-FIND)."""
    gateway = _gateway(address, called, calling, tls, ca_bundle, certificate, certificate_key)
    asked = list(dict.fromkeys([key.partition("=")[0] for key in keys or ()]))
    shown = list(dict.fromkeys([*asked, *_SHOWN[level]]))
    wanted = identifier(level, [*(keys or ()), *(one for one in _SHOWN[level] if one not in asked)])
    asking = Asking(gateway, FIND[model])
    found: list[Dataset] = []
    ended: Ended | None = None
    try:
        for one in asking.find(wanted):
            if isinstance(one, Ended):
                ended = one
            elif len(found) < limit:
                found.append(one)
            else:
                print_error(f"there are more than {limit} matches: use --limit, or narrow the query with --key")
                break
    finally:
        asking.release()
    rows = [{name: _text(one, name) for name in shown} for one in found]
    if output.is_table:
        wide = [name for name in _WIDE[level] if name not in (keys or ())]
        print_table(shown, [[row[name] or "-" for name in shown] for row in rows], output, wide)
    else:
        print_data(rows, output)
    if ended is not None and ended.status:
        raise Failure(ended.sentence)


def move(
    address: Address,
    called: Called,
    calling: Calling,
    to: Annotated[str, typer.Option(help="AE title of the move destination.", metavar="AE")],
    level: AtLevel = Level.STUDY,
    model: InModel = Model.STUDY,
    keys: Keys = None,
    tls: Tls = False,
    ca_bundle: CaBundle = None,
    certificate: Certificate = None,
    certificate_key: Key = None,
    output: Output = Format.TABLE,
) -> None:
    """Let a gateway send studies to a node (C-MOVE)."""
    gateway = _gateway(address, called, calling, tls, ca_bundle, certificate, certificate_key)
    wanted = identifier(level, keys or ())
    asking = Asking(gateway, MOVE[model])
    ended: Ended | None = None
    try:
        for ended in asking.move(wanted, to):
            if is_pending(ended):
                print_error(f"{ended.completed} stored, {ended.failed} failed so far")
    finally:
        asking.release()
    if ended is None or is_pending(ended):
        raise Failure("the gateway ended the association too early")
    document: dict[str, Any] = {
        "status": f"{ended.status:04X}",
        "completed": ended.completed,
        "warning": ended.warning,
        "failed": ended.failed,
        "failedSOPInstanceUIDs": list(ended.failed_uids),
    }
    if output.is_table:
        print_table(list(document)[:4], [[str(document[name]) for name in list(document)[:4]]])
    else:
        print_data(document, output)
    if ended.status:
        raise Failure(ended.sentence)


def _gateway(
    address: str,
    called: str,
    calling: str,
    tls: bool,
    ca_bundle: Path | None,
    certificate: Path | None,
    certificate_key: Path | None,
) -> CalledGateway:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or not host:
        raise Failure(f"{address} is not HOST:PORT, such as gateway.example:11112", 2)
    uses_tls = tls or ca_bundle is not None or certificate is not None
    context = trusting(ca_bundle, certificate, certificate_key) if uses_tls else None
    return CalledGateway(host.strip("[]"), int(port), called, calling, context)


def _text(found: Dataset, keyword: str) -> str:
    value = found.get(keyword)
    if value is None:
        return ""
    return str(value) if isinstance(value, str) or not hasattr(value, "__iter__") else "\\".join(map(str, value))
