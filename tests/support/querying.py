"""Manifests of routes that serve queries, and clients that put them."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
from find_oracle import FindQuery
from manifests import Json, changed
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from routes import all_to, local_node, local_route, to

MODELS = {"P": "1.2.840.10008.5.1.4.1.2.1.1", "S": "1.2.840.10008.5.1.4.1.2.2.1"}
NOWHERE = "http://127.0.0.1:9/dicom-web"
CLIENTS = {"nodes": [{"name": "ct-1"}]}


def query_retrieve(**more: Any) -> Json:
    """Return queryRetrieve on the one listener, for the node that the tests send as."""
    return {"listeners": ["dicom"], "clients": CLIENTS, **more}


def holding_route(*documents: Json, query: Json | None = None, **spec: Any) -> list[Json]:
    """Return a route whose instances stay in the spool, as their destination is not there, and that serves queries."""
    served = {"queryRetrieve": query if query is not None else query_retrieve()}
    return [local_node(), to(NOWHERE), *documents, local_route(rules=all_to("archive"), **{**served, **spec})]


def without_queries(documents: Sequence[Json]) -> list[Json]:
    """Return the same manifests without queryRetrieve."""
    return [
        changed(one, "spec", {k: v for k, v in one["spec"].items() if k != "queryRetrieve"})
        if one["kind"] == "DicomRoute"
        else one
        for one in documents
    ]


def associate(
    port: int,
    *,
    extended: bytes = b"",
    calling: str = "CT1",
    implicit: bool = False,
    models: str = "SP",
    **options: Any,
) -> Association:
    """Associate with pynetdicom for queries in both models."""
    entity = AE(ae_title=calling)
    entity.dimse_timeout = entity.network_timeout = 60
    syntaxes = [ImplicitVRLittleEndian] if implicit else [ExplicitVRLittleEndian]
    negotiation = []
    for model in models:
        entity.add_requested_context(MODELS[model], syntaxes)
        if extended:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid, item.service_class_application_information = MODELS[model], extended
            negotiation.append(item)
    return entity.associate("127.0.0.1", port, ae_title="CTGATE", ext_neg=negotiation, **options)


def find(association: Association, identifier: Dataset, model: str = "S") -> tuple[list[int], list[Dataset], str]:
    """Put a query; return the statuses, the answers, and the comment of the last one."""
    responses = list(association.send_c_find(identifier, MODELS[model]))
    statuses = [status.Status for status, _ in responses]
    return statuses, [data for _, data in responses if data is not None], responses[-1][0].get("ErrorComment", "")


def ask(association: Association, query: FindQuery) -> tuple[list[int], list[Dataset], str]:
    """Put a query of the oracle."""
    return find(association, query.identifier, query.model)


def keys(level: str, **values: Any) -> Dataset:
    """Return an identifier."""
    data_set = Dataset()
    data_set.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    return data_set


def findscu(
    port: int, folder: Path, *words: str, model: str = "-S", calling: str = "CT1", options: Sequence[str] = ()
) -> tuple[list[Dataset], str]:
    """Put a query with DCMTK's findscu; return the answers as it wrote them down, and what it said."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["findscu", "-v", model, "-aet", calling, "-aec", "CTGATE", *options, "-X", "-od", str(folder)]
    for word in words:
        command += ["-k", word]
    said = subprocess.run(
        [*command, "127.0.0.1", str(port)], check=False, capture_output=True, text=True, errors="replace", timeout=60
    )
    return [pydicom.dcmread(file) for file in sorted(folder.glob("rsp*.dcm"))], said.stdout + said.stderr


def final_status(said: str) -> str:
    """Return the final status that findscu names."""
    return re.findall(r"Received Final Find Response \((.*?)\)", said)[-1]
