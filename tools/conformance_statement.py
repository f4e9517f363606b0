"""Writes docs/conformance-statement.md, in the form of PS3.2 annex A, from the tables that the code negotiates with.

What cannot be read off a table is written here: what is done with what was negotiated, and what is not there.
"""

import sys

from conformance_tables import (
    COMMIT_STATUSES,
    FAILURE_REASONS,
    FIND_BYTES,
    FIND_STATUSES,
    NOT_SUPPORTED,
    RETRIEVE_BYTES,
    RETRIEVE_STATUSES,
    STORE_STATUSES,
    character_sets,
    keys_table,
    name_of,
    setting,
    statuses,
    table,
)

from dicomroute_gateway.commitment.decide import FailureReason
from dicomroute_gateway.commitment.transactions import MOST_OPEN, MOST_OPEN_REFERENCES, MOST_REFERENCES
from dicomroute_gateway.configuration.listener import TlsProfile
from dicomroute_gateway.decoded import Level
from dicomroute_gateway.deliver.node.cstore import CStoreTransport
from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.negotiation import (
    LOSSLESS,
    STORAGE_CLASSES,
    TRANSFER_SYNTAXES,
    UNCOMPRESSED,
    VERIFICATION,
)
from dicomroute_gateway.dimse.propose import VERIFYING
from dicomroute_gateway.dimse.storage_commitment import PUSH_MODEL
from dicomroute_gateway.dimse.storage_commitment import TRANSFER_SYNTAXES as COMMITMENT_SYNTAXES
from dicomroute_gateway.dimse.tls import CIPHERS
from dicomroute_gateway.dimse.upper_layer import RECEIVED_PDU_BYTES
from dicomroute_gateway.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomroute_gateway.intake.storage_scp import LEVEL_2_FULL
from dicomroute_gateway.prepare.decompress import DECODED
from dicomroute_gateway.query import find, retrieve
from dicomroute_gateway.query.identifier import TRANSFER_SYNTAXES as QUERY_SYNTAXES
from dicomroute_gateway.query.models import FIND_MODELS, GET_MODELS, MOVE_MODELS
from dicomroute_gateway.query.storing import LEAST_INSTANCES
from dicomroute_operator.api.commitment import StorageCommitment
from dicomroute_operator.api.listener import Listener, ListenerTLS
from dicomroute_operator.api.node import DicomNodeSpec
from dicomroute_operator.api.query import QueryRetrieve


def main() -> str:
    """Return the page."""
    parts = [
        "# DICOM conformance statement",
        "Written by `make generate` from the tables that the code negotiates with, in the form of PS3.2 annex A; do "
        "not edit. A test proposes everything that it names over a socket, and compares. The product is dicomroute; "
        "the statement is that of its gateway, the only part that speaks DICOM. [adr/](adr/) has the reasons.",
        *overview(),
        *networking(),
        *media_and_text(),
        *security(),
        *annexes(),
    ]
    return "\n\n".join(parts) + "\n"


def overview() -> list[str]:
    """Return sections 1 to 3."""
    services = [
        ("Transfer", "Storage SOP Classes: [all of these](#storage-sop-classes), and private ones", "yes", "yes"),
        ("Transfer", "Verification", "yes", "yes"),
        ("Query/Retrieve", "Patient Root and Study Root FIND, MOVE, GET", "no", "yes, where a route says so"),
        (
            "Workflow management",
            "Storage Commitment Push Model",
            "yes, where a route says so",
            "yes, where a route says so",
        ),
    ]
    return [
        "## 1 Conformance statement overview",
        "A gateway receives instances by C-STORE, keeps them until every destination that its rules name has them, "
        "and sends them to DICOM nodes by C-STORE and to origin servers by STOW-RS (PS3.18). It answers queries and "
        "retrievals from what it holds, and from origin servers by QIDO-RS and WADO-RS. It promises to keep what its "
        "destinations have.",
        table(("network service", "SOP classes", "user (SCU)", "provider (SCP)"), services),
        "It has no worklist, no performed procedure steps, no printing and no media: [4.5](#45-what-is-not-supported).",
        "## 2 Table of contents",
        "1 overview, 3 introduction, 4 networking, 5 media, 6 character sets, 7 security, 8 annexes.",
        "## 3 Introduction",
        "Who connects devices reads sections 4, 6 and 7. *Route*, *listener*, *node* and *destination* are those of "
        "the manifests: [DicomRoute](reference/dicomroute.md), [DicomNode](reference/dicomnode.md). AE, SCU, SCP, "
        "SOP class, IOD and UID are used as in the standard. That two statements fit makes no test between two "
        "devices unnecessary.",
    ]


def networking() -> list[str]:
    """Return section 4."""
    return [
        "## 4 Networking",
        "### 4.1 Implementation model",
        "One application entity a listener: it accepts associations under each of the listener's `aeTitles`. A node "
        "is called with `destinations[].callingAETitle`, or else with the first title of the first listener; who "
        "asked for storage commitment is called with the title that he called. What an AE does follows what is done "
        "to it:",
        table(
            ("what happens", "what the AE does then"),
            [
                ("C-STORE-RQ", "writes the instance and what is owed to stable storage, answers, and delivers later"),
                ("an instance is owed to a DicomNode", "associates and sends C-STORE-RQ"),
                ("C-FIND-RQ", "searches the spool and the archives, answers each match"),
                ("C-MOVE-RQ", "associates with the destination, and sends C-STORE-RQ of each instance"),
                ("C-GET-RQ", "sends C-STORE-RQ of each instance on the same association"),
                ("N-ACTION-RQ of storage commitment", "keeps it, and reports by N-EVENT-REPORT-RQ once it is decided"),
                (
                    "a node with `confirm: {by: StorageCommitment}` has got instances",
                    "sends N-ACTION-RQ, and waits for N-EVENT-REPORT-RQ on that association or on another",
                ),
                ("a connection test is due, or `dicomroute test node`", "associates and sends C-ECHO-RQ"),
            ],
        ),
        "### 4.2 AE specification",
        "#### 4.2.1 Association policies",
        "The application context is 1.2.840.10008.3.1.1.1. One operation is under way on an association at a time, "
        "in either role: an Asynchronous Operations Window that is proposed is answered with 1/1.",
        table(
            ("parameter", "value"),
            [
                ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
                ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
                ("longest PDU that is taken, as SCP", f"{setting(Listener, 'max_pdu_bytes')} bytes (`maxPDUBytes`)"),
                ("longest PDU that is taken, as SCU", f"{RECEIVED_PDU_BYTES} bytes"),
                ("associations accepted at a time", f"{setting(Listener, 'max_associations')} (`maxAssociations`)"),
                (
                    "associations initiated at a time, to a destination",
                    f"{CStoreTransport.limits.most_lanes} for deliveries, or as many as the node takes; one for each "
                    f"retrieval, two for a C-MOVE of {LEAST_INSTANCES} instances or more; two for requests for storage "
                    "commitment",
                ),
                ("ARTIM timer, as SCP", f"{setting(Listener, 'acse_timeout_seconds')} s (`acseTimeoutSeconds`)"),
                ("idle association, as SCP", f"{setting(Listener, 'idle_timeout_seconds')} s (`idleTimeoutSeconds`)"),
                (
                    "silence within a message, as SCP",
                    f"{setting(Listener, 'stall_timeout_seconds')} s (`stallTimeoutSeconds`)",
                ),
                ("answer to an A-ASSOCIATE-RQ, as SCU", f"{setting(DicomNodeSpec, 'acse_timeout_seconds')} s"),
                ("a response, as SCU", f"{setting(DicomNodeSpec, 'response_timeout_seconds')} s"),
            ],
        ),
        "Values are defaults, with what may be set in brackets.",
        "#### 4.2.2 Association acceptance",
        "Who is not admitted is rejected, the caller being looked at before the called title:",
        table(
            ("why", "result", "source", "reason"),
            [(one.label, *map(str, one.answer)) for one in Refusal],
        ),
        *acceptance(),
        "#### 4.2.3 Association initiation",
        *initiation(),
        "### 4.3 Network interfaces",
        "TCP/IP over IPv4 and IPv6. TCP_NODELAY is on.",
        "### 4.4 Configuration",
        "AE titles and addresses of the gateway and of all others are in manifests: there is no other table. "
        "[DicomRoute](reference/dicomroute.md) and [DicomNode](reference/dicomnode.md) have every field and its "
        "default; a listener's port is 11112 unless it says otherwise, 2762 is registered for TLS.",
        "### 4.5 What is not supported",
        "Everything that is not named above is refused with result 3, abstract syntax not supported. Among it:",
        table(("abstract syntax", "UID"), [(name, f"`{uid}`") for uid, name in NOT_SUPPORTED]),
        "Neither are there: worklists, performed procedure steps, printing, user identity negotiation, asynchronous "
        "operations, the Pull Model of storage commitment, C-FIND, C-MOVE and C-GET as SCU, digital signatures.",
    ]


def acceptance() -> list[str]:
    """Return what is accepted of presentation contexts, and what is done in them."""
    uncompressed = [*UNCOMPRESSED]
    others = sorted(TRANSFER_SYNTAXES - set(uncompressed) - LOSSLESS, key=_by_number)
    lossless = sorted(LOSSLESS, key=_by_number)
    syntaxes = [(name_of(uid), f"`{uid}`", "uncompressed") for uid in uncompressed]
    syntaxes += [(name_of(uid), f"`{uid}`", "lossless") for uid in lossless]
    syntaxes += [(name_of(uid), f"`{uid}`", "other") for uid in others]
    models = {**FIND_MODELS, **MOVE_MODELS, **GET_MODELS}
    return [
        "##### Presentation contexts",
        "Each context is answered for itself. *Roles* are those of the peer that are accepted where role selection "
        "is proposed; without it the peer is the SCU.",
        table(
            ("abstract syntax", "UID", "transfer syntaxes", "roles of the peer", "served"),
            [
                ("Verification", f"`{VERIFICATION}`", "uncompressed", "SCU", "always"),
                ("Storage SOP Classes and private SOP classes", "below", "storage", "SCU", "always"),
                *(
                    (name_of(uid), f"`{uid}`", "query", "SCU", served)
                    for uid, served in (
                        (uid, "queryRetrieve, with moveDestinations" if uid in MOVE_MODELS else "queryRetrieve")
                        for uid in models
                    )
                ),
                (
                    "Storage SOP Classes, beside a context for C-GET",
                    "below",
                    "storage",
                    "SCP",
                    "queryRetrieve",
                ),
                (
                    name_of(PUSH_MODEL),
                    f"`{PUSH_MODEL}`",
                    "commitment",
                    "SCU; SCP where a destination is asked for commitment",
                    "storageCommitment",
                ),
            ],
        ),
        "##### Transfer syntaxes",
        f"*query* and *commitment* are {' and '.join(f'{name_of(uid)} (`{uid}`)' for uid in QUERY_SYNTAXES)}, the "
        "first that is proposed of these, in this order"
        + ("" if tuple(COMMITMENT_SYNTAXES) == tuple(QUERY_SYNTAXES) else " (commitment differs)")
        + ". *uncompressed* is the first that is proposed of the ones that the table calls so, in its order. *storage* "
        "is one of all in the table: the first one proposed if it is lossless, else the first uncompressed one in "
        "the order of the table, else the first lossless one, else the first one proposed. So a sender that can send "
        "without loss is never led to compress with loss. For a context in which the peer is the SCP of a C-GET it "
        "is an uncompressed one if any is proposed.",
        table(("transfer syntax", "UID", "kind"), syntaxes),
        "##### Storage SOP classes",
        "All Storage SOP Classes of the standard, retired ones included, and every SOP class outside of the "
        "standard's root `1.2.840.10008`. Level 2, full: all elements are kept, byte for byte in the transfer syntax "
        "of the context. The "
        f"answer to SOP Class Extended Negotiation is `{LEVEL_2_FULL.hex(' ').upper()}` (PS3.4 B.3.1): no digital "
        "signatures, no coercion.",
        table(("SOP class", "UID"), [(name_of(uid), f"`{uid}`") for uid in sorted(STORAGE_CLASSES, key=_by_number)]),
        "##### Extended negotiation of queries and retrievals",
        "Answered where it is proposed, in as many bytes as were proposed: 1 where both sides do it.",
        table(
            ("byte", "C-FIND", "", "C-MOVE, C-GET", ""),
            [
                (
                    str(number + 1),
                    what,
                    str(find.EXTENDED[number]),
                    RETRIEVE_BYTES[number] if number < len(RETRIEVE_BYTES) else "",
                    str(retrieve.EXTENDED[number]) if number < len(RETRIEVE_BYTES) else "",
                )
                for number, what in enumerate(FIND_BYTES)
            ],
        ),
        "##### Statuses of C-STORE",
        statuses(STORE_STATUSES),
        "##### C-FIND",
        "Hierarchical queries, and relational ones where they were negotiated or the DicomNode says `relational: "
        "Always`. [query-retrieve.md](query-retrieve.md#matching) says how each kind of key is matched. What the "
        "spool holds is matched on these keys, of the level and of the levels above; an archive answers what it has. "
        "**U** is the unique key of its level, the others are required or optional keys. A key that is not named is "
        "told empty, with status "
        f"FF01. At most {setting(QueryRetrieve, 'max_matches')} matches (`maxMatches`).",
        *(keys_table(level) for level in Level),
        "QueryRetrieveLevel, RetrieveAETitle, SpecificCharacterSet where it is needed, and InstanceAvailability "
        "where it is asked for, are told too. Modality is taken for ModalitiesInStudy at the level of studies.",
        statuses(FIND_STATUSES),
        "##### C-MOVE and C-GET",
        "By the unique keys; the lowest may be a list. [retrieving.md](retrieving.md) says what is retrieved from "
        "where. Instances go out in the transfer syntax that they are in, if the receiver takes it, else "
        "decompressed or rewritten as Explicit or Implicit VR Little Endian; decompressed are "
        f"{', '.join(name_of(uid) for uid in sorted(DECODED, key=_by_number))}. Priority is not looked at. Move "
        "Originator is the AE title of the requestor and the Message ID of its C-MOVE-RQ.",
        statuses(RETRIEVE_STATUSES),
        "##### Storage commitment as SCP",
        f"At most {MOST_REFERENCES} references in a request, {MOST_OPEN} open transactions and {MOST_OPEN_REFERENCES} "
        "references in all. Storage Media File-Set ID and UID are not looked at; Retrieve AE Title is not reported. "
        "A report "
        f"goes out on the association of the request for {setting(StorageCommitment, 'same_association_seconds')} s "
        "(`sameAssociationSeconds`), else on a new one, with the AE title that was called, and the role of the SCP "
        "by role "
        f"selection; it is repeated for {setting(StorageCommitment, 'report_for_seconds')} s (`reportForSeconds`) "
        "until it is answered with success. It has every reference of the request, committed or failed. After "
        f"{setting(StorageCommitment, 'wait_seconds')} s (`waitSeconds`) what is not delivered is reported as failed.",
        statuses(COMMIT_STATUSES),
        table(
            ("Failure Reason (0008,1197)", "when"),
            [(f"{int(reason):04X}", FAILURE_REASONS[reason]) for reason in FailureReason],
        ),
        "##### Storage commitment, reports taken",
        "N-EVENT-REPORT-RQ is taken on any association of a listener and answered with success, whether anybody "
        "waits for the transaction or not; `0213` where it is too long. A peer that proposes no role may report too.",
    ]


def initiation() -> list[str]:
    """Return what is proposed to others."""
    return [
        "An association is opened when something is owed to a node, kept for the next instances, and released after "
        "five idle seconds, or after 300 s. Each pair of SOP class and transfer syntax is a context of its own, so "
        "that the node says of each whether it takes it; up to 128 of them.",
        table(
            ("purpose", "abstract syntax", "transfer syntaxes proposed", "role"),
            [
                (
                    "deliveries, sub-operations of C-MOVE",
                    "the SOP classes of the instances",
                    "that in which each was received; Explicit and Implicit VR Little Endian, where it can be "
                    "rewritten so",
                    "SCU",
                ),
                ("connection tests", "Verification", name_of(VERIFYING.transfer_syntax), "SCU"),
                (
                    "asking for storage commitment",
                    name_of(PUSH_MODEL),
                    ", ".join(map(name_of, COMMITMENT_SYNTAXES)),
                    "SCU",
                ),
                (
                    "reports on storage commitment",
                    name_of(PUSH_MODEL),
                    ", ".join(map(name_of, COMMITMENT_SYNTAXES)),
                    "SCP, by role selection",
                ),
            ],
        ),
        "Statuses of C-STORE: 0000 and Bxxx are success, A7xx and whatever ends the association are retried without "
        "end, A9xx, Cxxx, 0117, 0118, 0119 and 0122 refuse the instance: [delivering.md](delivering.md) and "
        "[dead-letters.md](runbooks/dead-letters.md).",
    ]


def media_and_text() -> list[str]:
    """Return sections 5 and 6."""
    return [
        "## 5 Media interchange",
        "None.",
        "## 6 Support of character sets",
        "Instances pass as they are. Rules, queries, retrievals and de-identification read text in every character "
        "set of "
        f"PS3.3 C.12.1.1.2 of this list: {', '.join(character_sets())}. "
        "A query that declares none is read as UTF-8 where it is that, else in `defaultCharacterSet` of its "
        "DicomNode. An answer declares none where it is ASCII, else the set of its request if that has all of the "
        "text, else ISO_IR 192.",
    ]


def security() -> list[str]:
    """Return section 7."""
    handshake = setting(ListenerTLS, "handshake_timeout_seconds")
    return [
        "## 7 Security",
        "A listener with `tls` speaks only TLS, and so does a call to a node with `tls`. TLS 1.2 and 1.3; no TLS 1.0 "
        "or "
        f"1.1, no compression, no renegotiation, no session tickets. A handshake has {handshake} s.",
        table(
            ("profile", "of PS3.15", "suites of TLS 1.2, in the order of preference"),
            [
                (
                    str(profile),
                    {"BCP195RFC9325": "B.12"}.get(str(profile), "B.13"),
                    ", ".join(f"`{one}`" for one in CIPHERS[profile] if not one.startswith("@")),
                )
                for profile in TlsProfile
            ],
        ),
        "Those of TLS 1.3 are `TLS_AES_256_GCM_SHA384`, `TLS_CHACHA20_POLY1305_SHA256` and `TLS_AES_128_GCM_SHA256`. "
        "Of B.13 the suites with Camellia, and those whose tag is cut to eight bytes, are left out. A listener may "
        "require a certificate of its callers, and a DicomNode may be known by its own: DNS name, common name or "
        "SHA-256 of the certificate ([credentials.md](credentials.md)). AE titles and source addresses are always "
        "looked at.",
        "De-identification is by PS3.15 annex E: [deidentification.md](deidentification.md).",
    ]


def annexes() -> list[str]:
    """Return section 8."""
    return [
        "## 8 Annexes",
        "**IODs.** The gateway makes no instances. It changes none on their way but where a route says so "
        "(`transform`, `deidentify`), or where a destination takes none of the transfer syntaxes that an instance "
        "has: then the data set is rewritten, group lengths (gggg,0000) are left out, unknown and private elements "
        "without a VR become UN.",
        "**Private attributes, SOP classes and transfer syntaxes.** None of its own. Private attributes and SOP "
        "classes of others pass. Private transfer syntaxes are refused.",
        "**Standard extended, specialized or private SOP classes.** None.",
        "**DICOMweb.** As a user agent: STOW-RS, QIDO-RS and WADO-RS of origin servers (PS3.18): "
        "[cloud-targets.md](cloud-targets.md), [retrieving.md](retrieving.md). It is not an origin server.",
    ]


def _by_number(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


if __name__ == "__main__":
    sys.stdout.write(main())
