"""The table of PS3.15 E.1-1 with its options, and safe private attributes (E.3.10-1), as data.

`tools/deidentification_table.py` makes the data; keys are tags, as pydicom's dictionary lacks 25 of the keywords.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from dicomroute_gateway.configuration.profile import Option

EDITION: Final = "2026c"


CODES: Final = {
    Option.CLEAN_PIXEL_DATA: ("113101", "Clean Pixel Data Option"),
    Option.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
    Option.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.RETAIN_FULL_DATES: ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    Option.RETAIN_MODIFIED_DATES: ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    Option.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
    Option.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    Option.RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    Option.RETAIN_INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
}
"""Code values and meanings of CID 7050; that of the Basic Profile is 113100."""


class TableBroken(Exception):
    """The table in this installation is not what was made."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute: its action in the Basic Profile, its VR, and the letters K or C of the options that say one."""

    action: str
    vr: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """One edition of the table.

    `safe_private` has the VR of each by creator, group and the low byte of the element. `required` says where an
    attribute is of Type 1 or 2 (PS3.5 7.4): by SOP Class UID at the top of a data set, by the tag of the sequence,
    eight hexadecimal digits, within an item.
    """

    edition: str
    sha256: str
    rows: Mapping[int, Row]
    safe_private: Mapping[tuple[bytes, int, int], str]
    required: Mapping[str, Mapping[int, int]]


@cache
def table() -> Table:
    """Return the table. Raises TableBroken."""
    document = json.loads(files(__package__).joinpath(f"table_{EDITION}.json").read_text("utf-8"))
    body = {key: document[key] for key in ("rows", "safePrivate", "required")}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    if digest != document["sha256"]:
        raise TableBroken(f"the table of edition {EDITION} does not have its checksum: install the package again")
    options = frozenset(Option)
    return Table(
        document["edition"],
        digest,
        {
            int(tag, 16): Row(row["action"], row.get("vr", ""), {key: row[key] for key in row if key in options})
            for tag, row in document["rows"].items()
        },
        {
            (creator.encode(), int(group, 16), int(element, 16)): vr
            for creator, group, element, vr in document["safePrivate"]
        },
        {
            place: {int(tag, 16): int(kind) for tag, kind in kinds.items()}
            for place, kinds in document["required"].items()
        },
    )
