"""How the API answers: a document, or why not."""

import json

from aiohttp import web

from dicomroute_client.documents.document import Document
from dicomroute_client.documents.refused import ErrorDocument


def answer(document: Document) -> web.Response:
    """Return a document as it is answered."""
    return web.Response(text=document.model_dump_json(by_alias=True) + "\n", content_type="application/json")


def refuse(status: int, sentence: str) -> web.Response:
    """Return a sentence that says why a request is refused, and what to do."""
    body = json.dumps(ErrorDocument(error=sentence).model_dump()) + "\n"
    return web.Response(status=status, text=body, content_type="application/json")
