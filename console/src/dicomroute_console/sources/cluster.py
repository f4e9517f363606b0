"""A cluster, asked with the token of the person who asks: the console has no rights of its own, and lends none."""

import base64
import binascii
import hashlib
import json
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from dicomroute_client.asynchronous import GatewayAddress

from .person import NotKnown, Person
from .rights import GROUP, Rights
from .source import Conflict, Invalid, Json, NotAllowed, NotFound, OutOfReach, Right

_API: Final = f"/apis/{GROUP}/v1alpha1"
API_PORT: Final = 8443
FIELD_MANAGER: Final = "dicomroute-console"
_APPLY: Final = "application/apply-patch+yaml"
"""JSON is YAML."""
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"


class Cluster:
    """The API server at a URL. What it does not let a person see, the person does not see here."""

    def __init__(self, url: str, authorities: Path, namespaces: Sequence[str] = ()) -> None:
        """`authorities` is a file of those that its certificate is of; `namespaces` are looked into for everybody."""
        self._url = url.rstrip("/")
        self._tls = ssl.create_default_context(cafile=str(authorities))
        self._namespaces = tuple(namespaces)
        self._session: aiohttp.ClientSession | None = None
        self._rights = Rights()

    async def person(self, secret: str, namespaces: Sequence[str]) -> Person:
        """Return as whom the API server knows a token (SelfSubjectReview). Raises NotKnown."""
        if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise NotKnown("this is not a token: a token has only visible ASCII characters")
        asked = Person("", secret)
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._ask(asked, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        name = str(answer["status"]["userInfo"]["username"])
        own = [name.split(":")[2]] if name.startswith(_SERVICE_ACCOUNT) else []
        return Person(name, secret, tuple(dict.fromkeys((*self._namespaces, *own, *namespaces))))

    async def resources(self, person: Person, plural: str) -> list[Json]:
        """Return the resources of all namespaces, or of those that the person may look into."""
        try:
            return await self._list(person, f"{_API}/{plural}")
        except NotAllowed as error:
            if not person.namespaces:
                raise NotAllowed(
                    f"you may not list {plural} in all namespaces: sign in again, and name the namespaces that you may "
                    "look into"
                ) from error
        found: list[Json] = []
        refused: list[str] = []
        for namespace in person.namespaces:
            try:
                found += await self._list(person, f"{_API}/namespaces/{quote(namespace, safe='')}/{plural}")
            except NotAllowed as error:
                refused.append(str(error))
        if len(refused) == len(person.namespaces):
            raise NotAllowed("; ".join(refused))
        return found

    async def resource(self, person: Person, plural: str, namespace: str, name: str) -> Json:
        """Return one resource."""
        return await self._ask(person, "GET", f"{_API}/namespaces/{quote(namespace, safe='')}/{plural}/{_one(name)}")

    async def may(self, person: Person, right: Right, namespace: str, name: str) -> bool:
        """Return whether RBAC gives the person a right (SelfSubjectAccessReview); an answer counts for 30 s."""

        def review(attributes: Json) -> Awaitable[bool]:
            return self.review(person, "SelfSubjectAccessReview", {"resourceAttributes": attributes})

        token = hashlib.sha256(person.token.encode()).hexdigest()
        return await self._rights.allowed(token, (*right.value, namespace, name), review)

    async def gateways(self, person: Person, namespace: str, name: str) -> list[GatewayAddress]:
        """Return the gateways of a route: their pods, and the admin credential, both read as the person."""
        where = f"/api/v1/namespaces/{quote(namespace, safe='')}"
        try:
            secret = await self._ask(person, "GET", f"{where}/secrets/{_one(name)}-gw-admin")
        except NotFound as error:
            raise NotFound(f"route {namespace}/{name} has no gateway yet: its conditions say why") from error
        try:
            token, certificate = (base64.b64decode(secret["data"][key]).decode() for key in ("token", "tls.crt"))
            fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()
        except (KeyError, ValueError, binascii.Error) as error:
            raise OutOfReach(f"the Secret {name}-gw-admin was not created by the operator") from error
        addresses = await self.addresses(person, namespace, name)
        return [GatewayAddress(address, API_PORT, token, fingerprint) for address in addresses]

    async def addresses(self, person: Person, namespace: str, name: str) -> list[str]:
        """Return the addresses of the pods of a route."""
        selector = quote(f"dicomroute.dev/route={name}", safe="")
        pods = await self._list(person, f"/api/v1/namespaces/{quote(namespace, safe='')}/pods?labelSelector={selector}")
        return sorted(one["status"]["podIP"] for one in pods if one.get("status", {}).get("podIP"))

    async def review(self, person: Person, kind: str, spec: Json) -> bool:
        """Return what a SelfSubjectAccessReview or a SubjectAccessReview says that the person may ask for."""
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        answer = await self._ask(person, "POST", f"/apis/authorization.k8s.io/v1/{kind.lower()}s", review)
        return bool(answer["status"]["allowed"])

    async def apply(self, person: Person, document: Json, *, dry_run: bool) -> Json:
        """Write a resource by server-side apply, never forced. Raises Conflict, Invalid, NotAllowed."""
        metadata = document["metadata"]
        where = (
            f"namespaces/{quote(metadata['namespace'], safe='')}/{document['kind'].lower()}s/{_one(metadata['name'])}"
        )
        query = f"fieldManager={FIELD_MANAGER}&fieldValidation=Strict{'&dryRun=All' if dry_run else ''}"
        return await self._ask(person, "PATCH", f"{_API}/{where}?{query}", document)

    async def close(self) -> None:
        """Close the connections to the API server."""
        if self._session is not None:
            await self._session.close()

    async def _list(self, person: Person, path: str) -> list[Json]:
        found: list[Json] = []
        more, sign = "", "&" if "?" in path else "?"
        while True:
            page = await self._ask(person, "GET", f"{path}{sign}limit=500{more}")
            found += page["items"]
            if not (token := page["metadata"].get("continue")):
                return found
            more = f"&continue={quote(token, safe='')}"

    async def _ask(self, person: Person, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))
        try:
            async with self._session.request(
                method,
                f"{self._url}{path}",
                data=None if body is None else json.dumps(body),
                headers={
                    "Authorization": f"Bearer {person.token}",
                    "Content-Type": _APPLY if method == "PATCH" else "application/json",
                },
                ssl=self._tls,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=10),
            ) as response:
                document = json.loads(await response.read())
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise OutOfReach(f"the API server does not answer: {error or 'time-out'}") from error
        sentence = str(document.get("message", ""))
        if status == 401:
            raise NotKnown("the API server does not accept this token; it may have expired")
        if status == 403:
            raise NotAllowed(sentence)
        if status == 404:
            raise NotFound(sentence)
        if status == 409:
            raise Conflict(sentence, _causes(document))
        if status in (400, 413, 415, 422):
            raise Invalid(sentence)
        if status >= 400:
            raise OutOfReach(f"the API server answered with {status}: {sentence}")
        found: Json = document
        return found


def _causes(document: Json) -> tuple[tuple[str, str], ...]:
    """Return each field that somebody else set, and what the API server says of who that is."""
    causes = (document.get("details") or {}).get("causes") or []
    return tuple((str(one.get("field", "")), str(one.get("message", ""))) for one in causes)


def _one(name: str) -> str:
    return quote(name, safe="")
