"""A dry run that is asked for over the API: the DICOM file comes with the request, and is in memory alone."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from aiohttp import web

from dicomroute_client.documents.explain import ExplanationDocument
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.explain.explanation import ExplainedCaller, explanation
from dicomroute_gateway.explain.instance import of_descriptor
from dicomroute_gateway.explain.treatment import Words

MOST_BYTES: Final = 32 * 1024 * 1024
_NAME: Final = Path("the file")


def caller_of(query: Mapping[str, str]) -> ExplainedCaller:
    """Return who would send, as a request says. Raises ValueError."""
    calling = query.get("calling", "")
    if not 1 <= len(calling) <= 16:
        raise ValueError("calling must be an AE title of 1 to 16 characters")
    address = query.get("address") or "127.0.0.1"
    try:
        return ExplainedCaller(calling, query.get("called") or None, ip_address(address))
    except ValueError as error:
        raise ValueError(f"address must be an IP address, not {address!r}") from error


async def content_of(request: web.Request) -> bytes:
    """Return the file that comes with a request. Raises ValueError for one that is too long."""
    content = bytearray()
    async for piece in request.content.iter_chunked(1 << 16):
        content += piece
        if len(content) > MOST_BYTES:
            raise ValueError(
                f"this file is larger than {MOST_BYTES >> 20} MiB: use `dicomroute explain`, which has no limit"
            )
    return bytes(content)


def explained(
    configuration: Configuration, caller: ExplainedCaller, content: bytes, now: float, words: Words
) -> ExplanationDocument:
    """Return what a configuration would do with a file; `words` returns mounted ConfigMaps. Raises NotAnInstance."""
    descriptor = os.memfd_create("explain", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        found = explanation(configuration, caller, of_descriptor(descriptor, _NAME), now, words)
    finally:
        os.close(descriptor)
    return ExplanationDocument.model_validate(found)
