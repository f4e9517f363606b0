"""The routes that `dicomroute run` runs on this machine. Whoever has the console's token may do everything."""

import hashlib
import hmac
import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dicomroute_client.asynchronous import GatewayAddress

from .person import NotKnown, Person
from .source import Json, NotAllowed, NotFound, OutOfReach, Right


class Local:
    """Reads what `dicomroute run` writes for it, as often as it is asked: the manifests may have changed.

    The file is a JSON object: `resources`, the manifests without Secrets; and `gateways`, by NAMESPACE/ROUTE:
    `address` and the paths `addressFile`, `tokenFile` and `certificateFile`.
    """

    def __init__(self, description: Path, token: str, name: str) -> None:
        """`name` is who runs it: the one person there is."""
        self._description = description
        self._token = token
        self._name = name

    async def person(self, secret: str, namespaces: Sequence[str]) -> Person:
        """Return the one person who has the token."""
        if not hmac.compare_digest(secret.encode(), self._token.encode()):
            raise NotKnown("the token is wrong: use the token in the file console-token of the state folder")
        return Person(self._name)

    async def resources(self, person: Person, plural: str) -> list[Json]:
        """Return the manifests of a kind."""
        found = [one for one in self._read()["resources"] if f"{one['kind'].lower()}s" == plural]
        return sorted(found, key=lambda one: (one["metadata"]["namespace"], one["metadata"]["name"]))

    async def resource(self, person: Person, plural: str, namespace: str, name: str) -> Json:
        """Return one manifest."""
        for one in await self.resources(person, plural):
            if (one["metadata"]["namespace"], one["metadata"]["name"]) == (namespace, name):
                return one
        raise NotFound(f"the manifests have no {namespace}/{name} among their {plural}")

    async def may(self, person: Person, right: Right, namespace: str, name: str) -> bool:
        """Return True: who may read the token may read the gateways' own."""
        return True

    async def gateways(self, person: Person, namespace: str, name: str) -> list[GatewayAddress]:
        """Return the one gateway of a route."""
        found = self._read()["gateways"].get(f"{namespace}/{name}")
        if found is None:
            raise NotFound(f"no gateway of {namespace}/{name} is running")
        names = ("addressFile", "tokenFile", "certificateFile")
        try:
            address, token, certificate = (_text(found[one]) for one in names)
        except OSError as error:
            raise OutOfReach(f"the state of {namespace}/{name} cannot be read: {error.strerror}") from error
        host, _, port = address.rpartition(":")
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()
        return [GatewayAddress(_reachable(host.strip("[]")), int(port), token, fingerprint)]

    async def apply(self, person: Person, document: Json, *, dry_run: bool) -> Json:
        """Write nothing: here the manifests are files. Raises NotAllowed."""
        raise NotAllowed("`dicomroute run` reads its manifests from files: change them there, and they count at once")

    async def close(self) -> None:
        """Nothing is open."""

    def _read(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self._description.read_text())
        except (OSError, ValueError) as error:
            raise OutOfReach(f"the state file of `dicomroute run` cannot be read: {error}") from error
        return document


def _text(file: str) -> str:
    return Path(file).read_text().strip()


def _reachable(bound: str) -> str:
    """Return the address at which a port is reached that was bound to this one."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)
