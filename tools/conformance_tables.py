"""What the conformance statement says of each status, and how its tables are written."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pynetdicom.sop_class import _STORAGE_CLASSES as NAMES_OF_PYNETDICOM

from dicomroute_gateway.catalogue.keys import COMPUTED, KEPT, UNIQUE_KEYS
from dicomroute_gateway.commitment.decide import FailureReason
from dicomroute_gateway.decoded import Level
from dicomroute_gateway.dimse.command import Status
from dicomroute_gateway.rules.character_sets import python_encoding

FIND_BYTES = (
    "relational queries",
    "combined date-time matching",
    "fuzzy semantic matching of person names",
    "timezone query adjustment",
    "enhanced multi-frame image conversion",
    "empty value matching",
    "multiple value matching",
)
"""Service class application information of the C-FIND SOP classes (PS3.4 C.5.1.1)."""
RETRIEVE_BYTES = ("relational retrieval", "enhanced multi-frame image conversion")
"""The same of C-MOVE and C-GET (PS3.4 C.5.2.1, C.5.3.1)."""

STORE_STATUSES = {
    Status.SUCCESS: "the data set, and the record of the destinations that it is owed to, are on stable storage; or a "
    "rule discards it",
    Status.OUT_OF_RESOURCES: "no room in the spool, or what was received earlier under this UID is not delivered yet: "
    "send it again later",
    Status.DATA_SET_MISMATCH: "the UIDs of the data set are not those of the request",
    Status.CANNOT_UNDERSTAND: "the data set is not as its transfer syntax says, or there is none",
    Status.INVALID_SOP_INSTANCE: "the SOP Instance UID is not a UID",
    Status.SOP_CLASS_NOT_SUPPORTED: "the SOP class is not that of the presentation context",
    Status.NOT_AUTHORIZED: "no rule takes the instance, and the route refuses such",
    Status.PROCESSING_FAILURE: "the gateway failed; its log says why",
    Status.UNRECOGNIZED_OPERATION: "the message is not a C-STORE-RQ",
}
FIND_STATUSES = {
    Status.SUCCESS: "all matches were told",
    Status.PENDING: "a match, with everything that was asked for",
    Status.PENDING_WARNING: "a match; an attribute that was asked for is not supported",
    Status.OUT_OF_RESOURCES: "more than maxMatches or maxCandidates, too many queries at once, the index of the spool "
    "is being built, or the gateway shuts down; what was found until then was told",
    Status.DATA_SET_MISMATCH: "the identifier does not fit its level or model; Error Comment says why",
    Status.CANNOT_UNDERSTAND: "an archive did not answer; Error Comment names it",
    Status.NOT_AUTHORIZED: "the caller is not a client of queryRetrieve",
    Status.CANCEL: "C-CANCEL-RQ was received",
    Status.UNRECOGNIZED_OPERATION: "the message is not a C-FIND-RQ",
}
RETRIEVE_STATUSES = {
    Status.SUCCESS: "everything was stored without a warning, or nothing matches",
    Status.PENDING: "sub-operations go on; sent at once and every pendingIntervalSeconds, with the four counts",
    Status.SUB_OPERATIONS_FAILED: "some were not stored, or with a warning, or an archive that is not required failed",
    Status.CANNOT_CALCULATE_MATCHES: "a list of instances could not be read; what other lists name was sent",
    Status.CANNOT_PERFORM: "nothing could be stored, or too many retrievals at once",
    Status.MOVE_DESTINATION_UNKNOWN: "C-MOVE alone: the title is not a move destination, or is the gateway's own",
    Status.DATA_SET_MISMATCH: "the identifier does not fit its level or model; Error Comment says why",
    Status.NOT_AUTHORIZED: "the caller is not a client of queryRetrieve",
    Status.CANCEL: "C-CANCEL-RQ was received; the instance in hand was finished",
    Status.UNRECOGNIZED_OPERATION: "the message is not a C-MOVE-RQ or C-GET-RQ of its presentation context",
}
COMMIT_STATUSES = {
    Status.SUCCESS: "the request is on stable storage; what is committed to, the report says",
    Status.PROCESSING_FAILURE: "the request could not be kept",
    Status.NO_SUCH_OBJECT_INSTANCE: "another instance than the well-known one",
    Status.INVALID_ARGUMENT_VALUE: "Transaction UID or references are missing, or the transaction is open for other "
    "instances",
    Status.NO_SUCH_SOP_CLASS: "the SOP class is not that of the presentation context",
    Status.NO_SUCH_ACTION: "the Action Type ID is not 1",
    Status.NOT_AUTHORIZED: "the listener commits to nothing",
    Status.RESOURCE_LIMITATION: "too many references or open transactions; ask again later",
    Status.UNRECOGNIZED_OPERATION: "the message is neither N-ACTION-RQ nor N-EVENT-REPORT-RQ",
}
FAILURE_REASONS = {
    FailureReason.PROCESSING_FAILURE: "not delivered to every destination that counts within waitSeconds, refused "
    "there, or delivered in another form",
    FailureReason.NO_SUCH_OBJECT_INSTANCE: "unknown here, discarded, or dropped without a destination",
    FailureReason.CLASS_INSTANCE_CONFLICT: "stored as another SOP class",
    FailureReason.SOP_CLASS_NOT_SUPPORTED: "of a SOP class that is not stored here",
}
NOT_SUPPORTED = (
    ("1.2.840.10008.5.1.4.31", "Modality Worklist"),
    ("1.2.840.10008.3.1.2.3.3", "Modality Performed Procedure Step"),
    ("1.2.840.10008.5.1.1.9", "Print, greyscale"),
    ("1.2.840.10008.5.1.1.18", "Print, colour"),
    ("1.2.840.10008.5.1.4.34.6.1", "Unified Procedure Step"),
    ("1.2.840.10008.5.1.4.33", "Instance Availability Notification"),
    ("1.2.840.10008.1.20.2", "Storage Commitment Pull Model, retired"),
    ("1.2.840.10008.5.1.4.1.2.3.1", "Patient/Study Only Query, retired"),
    ("1.2.840.10008.5.1.4.1.2.5.3", "Composite Instance Retrieve Without Bulk Data"),
    ("1.2.840.10008.5.1.4.1.2.4.3", "Composite Instance Root Retrieve"),
    ("1.2.840.10008.1.3.10", "Media Storage Directory"),
)


def keys_table(level: Level) -> str:
    """Return the table of the keys of a level."""
    unique = UNIQUE_KEYS[level]
    found = [*KEPT[level].items(), *COMPUTED[level].items()]
    rows = []
    for tag, vr in sorted(found, key=lambda one: (one[0] != unique, one[0])):
        how = "U" if tag == unique else "told" if tag in COMPUTED[level] and vr == "IS" else ""
        entry = DicomDictionary[tag]
        rows.append((str(level), entry[4], f"({tag >> 16:04X},{tag & 0xFFFF:04X})", vr, how))
    return table(("level", "attribute", "tag", "VR", ""), rows)


def statuses(meanings: dict[Status, str]) -> str:
    """Return the table of the statuses of a service."""
    return table(("status", "when"), [(f"{int(one):04X}", meaning) for one, meaning in sorted(meanings.items())])


def character_sets() -> list[str]:
    """Return the defined terms of Specific Character Set that text is read in."""
    return sorted(term for term in python_encoding if re.fullmatch(r"ISO_IR \d+|ISO 2022 IR \d+|GB18030|GBK", term))


def setting(model: type[BaseModel], name: str) -> str:
    """Return the default of a field."""
    return str(model.model_fields[name].default)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def name_of(uid: str) -> str:
    """Return the name that the standard gives a UID."""
    entry: Any = UID_dictionary.get(uid)
    if entry and entry[0]:
        retired = " (Retired)" if len(entry) > 3 and entry[3] and "Retired" not in entry[0] else ""
        return f"{entry[0]}{retired}"
    (name,) = [name for name, other in NAMES_OF_PYNETDICOM.items() if other == uid]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
