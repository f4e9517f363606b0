"""The whole table, and what each number of it stands for."""

from .association_requests import ASSOCIATION_REQUESTS
from .connections import CONNECTIONS
from .data_sets import DATA_SETS
from .encrypted import ENCRYPTED
from .messages import MESSAGES
from .names import NAMES
from .protocol import PROTOCOL
from .row import Row

ENTRIES = {
    1: "Silence",
    2: "Slowness",
    3: "Lengths of PDUs",
    4: "Other protocols",
    5: "TLS",
    6: "Presentation data values",
    7: "A-ASSOCIATE-RQ",
    8: "Many connections",
    9: "Ends, and PDUs where none belong",
    10: "Segments",
    11: "DIMSE messages",
    12: "Transfer syntaxes",
    13: "Maximum length of the peer",
    14: "UIDs",
    15: "Commands of a shell",
    17: "One UID twice",
    18: "Files that are two things at once",
    19: "Structure of data sets",
    20: "Sizes",
    21: "Text",
}

ROWS: tuple[Row, ...] = tuple(
    sorted(
        (*CONNECTIONS, *PROTOCOL, *ASSOCIATION_REQUESTS, *MESSAGES, *NAMES, *DATA_SETS, *ENCRYPTED),
        key=lambda row: row.number,
    )
)
