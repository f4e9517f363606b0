"""AWS: temporary keys for the pod's service account, and requests that are signed with them (Signature Version 4).

The signature covers the digest of the whole body, the form that every service takes: AWS HealthImaging says nowhere
that it accepts an unsigned one, and a body is the same bytes on every attempt, so that it may be read once more before.
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from xml.etree import ElementTree

from dicomroute_gateway.configuration.credentials import AWSWebIdentityAuth
from dicomroute_gateway.dicomweb.faults import CredentialFault
from dicomroute_gateway.reasons import Reason

from .exchange import Exchange, Request, answer_invalid, check, refused
from .tokens import Token, TokenSource

EMPTY_DIGEST: Final = hashlib.sha256(b"").hexdigest()
_SESSION: Final = "dicomroute"


@dataclass(frozen=True)
class TemporaryKeys:
    """Temporary keys of AWS."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)


class Signable(Protocol):
    """What a signature covers."""

    @property
    def method(self) -> str:
        """The method, such as POST."""

    @property
    def url(self) -> str:
        """The URL as it goes out."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that are fixed before it is sent."""


def source(auth: AWSWebIdentityAuth, exchange: Exchange) -> TokenSource:
    """Return where temporary keys come from: AssumeRoleWithWebIdentity of AWS STS.

    Raises CredentialFault when the webhook has not given the pod its token.
    """
    role = auth.role_arn or os.environ.get("AWS_ROLE_ARN", "")
    file = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
    if not role or not file:
        missing = "AWS_WEB_IDENTITY_TOKEN_FILE" if not file else "AWS_ROLE_ARN"
        raise _no_identity(f"{missing} is not set")
    url = os.environ.get("AWS_ENDPOINT_URL_STS") or _sts(auth.region)

    async def fetch() -> Token:
        try:
            web_identity = (await asyncio.to_thread(Path(file).read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _no_identity("the file in AWS_WEB_IDENTITY_TOKEN_FILE cannot be read") from error
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": _SESSION,
            "WebIdentityToken": web_identity,
        }
        return await _keys(exchange, Request(url, form))

    return TokenSource(auth.type, (auth.role_arn, role, auth.region, url, file), fetch)


async def _keys(exchange: Exchange, request: Request) -> Token:
    reply = await exchange(request)
    values = _values(reply.content)
    if 400 <= reply.status < 500 and reply.status not in (408, 425, 429):
        raise refused(request, reply.status, values.get("Code"))
    check(request, reply, {})
    try:
        keys = TemporaryKeys(values["AccessKeyId"], values["SecretAccessKey"], values["SessionToken"])
        ends = datetime.fromisoformat(values["Expiration"])
    except (KeyError, ValueError) as error:
        raise answer_invalid(request, "no keys") from error
    if not all(value.isprintable() and value.isascii() for value in (keys.access_key, keys.session_token)):
        raise answer_invalid(request, "keys that are none")
    lifetime = (ends if ends.tzinfo else ends.replace(tzinfo=UTC)) - datetime.now(UTC)
    return Token(keys, max(60.0, lifetime.total_seconds()))  # a clock that is wrong is found by the signature


def _values(content: bytes) -> dict[str, str]:
    """Return the texts of an XML answer by the names of their elements."""
    if b"<!" in content:  # no declarations: they could make much of little
        return {}
    try:
        root = ElementTree.fromstring(content)  # noqa: S314
    except (ElementTree.ParseError, ValueError, LookupError):
        return {}
    return {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root.iter()}


def sign(keys: TemporaryKeys, auth: AWSWebIdentityAuth, request: Signable, body_digest: str) -> dict[str, str]:
    """Return the headers that sign a request: its method, URL, given headers, and the SHA-256 of its body in hex."""
    from botocore.auth import SigV4Auth  # noqa: PLC0415  # only where AWS is spoken to
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    given = {**request.headers, "X-Amz-Content-SHA256": body_digest}
    signed = AWSRequest(method=request.method, url=request.url, headers=given)
    credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token)
    SigV4Auth(credentials, auth.service, auth.region).add_auth(signed)
    made = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
    return {name: str(signed.headers[name]) for name in made if name in signed.headers}


def _sts(region: str) -> str:
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def _no_identity(what: str) -> CredentialFault:
    return CredentialFault(
        Reason.WORKLOAD_IDENTITY_MISSING,
        f"{what}: EKS gives it to the pod at its start, for the role in the annotation of the service account. Check "
        "that the cluster's OIDC provider is set up, and that the pod is newer than the target",
    )
