"""The OpenAPI description of the admin API, made from its documents."""

import json
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from dicomroute_client.calls import Operation
from dicomroute_client.documents.document import Document
from dicomroute_client.documents.erase import ErasureReport, ErasureRequest
from dicomroute_client.documents.events import EVENT_TYPES, EventDocument, EventsDocument
from dicomroute_client.documents.explain import ExplanationDocument
from dicomroute_client.documents.ledger import LedgerDocument, ReportDocument
from dicomroute_client.documents.query import (
    AuditTrailDocument,
    FindDocument,
    FindRequest,
    MoveDocument,
    MoveRequest,
    MovesDocument,
)
from dicomroute_client.documents.queue import InstanceDocument, QueueChange, QueueDocument, QueueSelection, QueueState
from dicomroute_client.documents.refused import ErrorDocument, RefusedDocument
from dicomroute_client.documents.status import ProbeDocument, StatusDocument
from dicomroute_client.documents.studies import StudiesDocument, StudyDocument, StudyStateChoice
from dicomroute_gateway import __version__

_DOCUMENTS: tuple[type[Document], ...] = (
    StatusDocument,
    ProbeDocument,
    QueueDocument,
    InstanceDocument,
    LedgerDocument,
    ReportDocument,
    QueueSelection,
    QueueChange,
    RefusedDocument,
    ErrorDocument,
    ErasureReport,
    ErasureRequest,
    ExplanationDocument,
    EventDocument,
    EventsDocument,
    *(one.data for one in EVENT_TYPES),
    StudiesDocument,
    StudyDocument,
    FindRequest,
    FindDocument,
    MoveRequest,
    MoveDocument,
    MovesDocument,
    AuditTrailDocument,
)

_LEDGER_KEYS = ("sopInstanceUID", "seriesInstanceUID", "studyInstanceUID", "callingAETitle")


@cache
def openapi_json() -> bytes:
    """Return the text of the description; it is made once."""
    return json.dumps(openapi_document()).encode()


def openapi_document() -> dict[str, Any]:
    """Return the description that `/openapi.json` answers (OpenAPI 3.1)."""
    _, definitions = models_json_schema(
        [(document, "serialization") for document in _DOCUMENTS], ref_template="#/components/schemas/{model}"
    )
    text = {"text/plain": {"schema": {"type": "string"}}}
    paths: dict[str, Any] = {
        "/healthz": {"get": _operation("The process answers.", text, secured=False)},
        "/readyz": {"get": _operation("The gateway receives; 503 says why it does not.", text, secured=False)},
        "/metrics": {"get": _operation("Metrics in Prometheus' text format.", text, secured=False)},
        "/api/v1/status": {"get": _operation("Current state of the gateway.", _json("StatusDocument"))},
        "/api/v1/refused": {"get": _operation("Refused callers, the last first.", _json("RefusedDocument"))},
        "/api/v1/queue": {
            "get": _operation("Deliveries, oldest first.", _json("QueueDocument"))
            | {
                "parameters": [
                    _query(
                        "state",
                        {
                            "type": "string",
                            "enum": list(QueueState),
                        },
                    ),
                    *(_query(name, {"type": "string"}) for name in ("destination", "reason", "study")),
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
                ]
            }
        },
        "/api/v1/ledger": {
            "get": _operation("What happened to instances, both in the spool and finished.", _json("LedgerDocument"))
            | {
                "parameters": [
                    *(_query(name, {"type": "string"}) for name in _LEDGER_KEYS),
                    *(_query(name, {"type": "string", "format": "date"}) for name in ("from", "to")),
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
                ]
            }
        },
        "/api/v1/report": {
            "get": _operation(
                "What each source sent on a day, and what has happened to it so far.", _json("ReportDocument")
            )
            | {"parameters": [_query("day", {"type": "string", "format": "date"})]}
        },
        "/api/v1/queue/{instance}": {
            "get": _operation("Everything that is known about an instance.", _json("InstanceDocument"))
            | {"parameters": [{"name": "instance", "in": "path", "required": True, "schema": {"type": "integer"}}]}
        },
    }
    paths["/api/v1/events"] = _events()
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
    paths["/api/v1/studies"] = {
        "get": _operation("Studies, newest first.", _json("StudiesDocument"))
        | {
            "parameters": [
                _query("state", {"type": "string", "enum": list(StudyStateChoice)}),
                _query("day", {"type": "string", "format": "date"}),
                limit,
            ]
        }
    }
    paths["/api/v1/studies/{uid}"] = {
        "get": _operation("Every series, instance and delivery of a study.", _json("StudyDocument"))
        | {"parameters": [{"name": "uid", "in": "path", "required": True, "schema": {"type": "string"}}, limit]}
    }
    paths["/api/v1/test/{kind}/{name}"] = {
        "post": _operation("Test a target (with a query) or a node (with a C-ECHO) now.", _json("ProbeDocument"))
        | {
            "parameters": [
                *(
                    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                    for name in ("kind", "name")
                ),
                _query("callingAETitle", {"type": "string", "maxLength": 16}),
            ]
        }
    }
    paths["/api/v1/erase"] = {
        "post": _operation("Erase what the spool has of a study or a patient.", _json("ErasureReport"))
        | {"requestBody": {"required": True, "content": _json("ErasureRequest")}}
    }
    paths["/api/v1/explain"] = {
        "post": _operation(
            "What the route would do with a DICOM file. The file is not kept.", _json("ExplanationDocument")
        )
        | {
            "parameters": [
                _query("calling", {"type": "string"}) | {"required": True},
                *(_query(name, {"type": "string"}) for name in ("called", "address")),
            ],
            "requestBody": {
                "required": True,
                "content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}},
            },
        }
    }
    paths |= _retrieving()
    for one in Operation:
        paths[f"/api/v1/queue/{one}"] = {
            "post": _operation(one.summary, _json("QueueChange"))
            | {"requestBody": {"required": True, "content": _json("QueueSelection")}}
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "dicomroute gateway", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _events() -> dict[str, Any]:
    """Return what is said of the feed: pages, and a stream for who accepts no other."""
    content = {**_json("EventsDocument"), "text/event-stream": {"schema": {"type": "string"}}}
    operation = _operation("What happens, behind a cursor: a page, or a stream of server-sent events.", content)
    operation["responses"]["410"] = {
        "description": "What is behind the cursor is no longer kept, or it is of another feed.",
        "content": _json("ErrorDocument"),
    }
    operation["parameters"] = [
        _query("after", {"type": "string", "description": "The cursor of an earlier answer, or `latest`."}),
        _query("wait", {"type": "integer", "minimum": 0, "maximum": 60}),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
        _query("type", {"type": "string", "description": "Names of types without prefix and version, with commas."}),
        {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}},
    ]
    return {"get": operation}


def _retrieving() -> dict[str, Any]:
    """Return what is said of queries and retrievals of persons."""
    number = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}
    return {
        "/api/v1/find": {
            "post": _operation("Search the archives of the route and its spool.", _json("FindDocument"))
            | {"requestBody": {"required": True, "content": _json("FindRequest")}}
        },
        "/api/v1/moves": {
            "get": _operation("Retrievals of persons, newest first.", _json("MovesDocument")),
            "post": _operation("Send a study or a series from the archives to a DicomNode.", _json("MoveDocument"))
            | {"requestBody": {"required": True, "content": _json("MoveRequest")}},
        },
        "/api/v1/moves/{number}/cancel": {
            "post": _operation("End a retrieval.", _json("MoveDocument")) | {"parameters": [number]}
        },
        "/api/v1/audit": {"get": _operation("Who queried and retrieved, newest first.", _json("AuditTrailDocument"))},
    }


def _operation(summary: str, content: dict[str, Any], *, secured: bool = True) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}},
    }
    if secured:
        operation["security"] = [{"token": []}]
        operation["responses"]["401"] = {
            "description": "The token is missing or wrong.",
            "content": _json("ErrorDocument"),
        }
    return operation


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
