"""A cluster for people whose token it does not know: the console asks by its own account, and RBAC whether they may.

For each question there is a SubjectAccessReview with the person's name and groups: nothing is impersonated, and RBAC
stays the one place. The account reads our kinds and the addresses of pods; gateways are asked with short tokens, each
for one route, one scope and the person's name, and no Secret is read.
"""

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Final

from dicomroute_client.asynchronous import GatewayAddress
from dicomroute_client.tokens import signer

from .cluster import API_PORT, Cluster
from .person import NotKnown, Person
from .rights import Rights
from .source import ROUTES, Json, NotAllowed, NotFound, Right

_AUTHENTICATED: Final = "system:authenticated"
"""The group of everybody whom an API server knows: RBAC's default roles are for it."""


class Delegated:
    """A cluster, asked by the console's account; each person sees and does there what a SubjectAccessReview allows."""

    def __init__(self, cluster: Cluster, token_file: Path, console_key: str) -> None:
        """`token_file` has the account's token, which the kubelet renews; `console_key` is what tokens are made of."""
        self._cluster = cluster
        self._token_file = token_file
        self._console_key = console_key
        self._rights = Rights()

    async def person(self, secret: str, namespaces: Sequence[str]) -> Person:
        """Return nobody: who comes here was known before."""
        raise NotKnown("the credential is not a token of the cluster")

    async def resources(self, person: Person, plural: str) -> list[Json]:
        """Return the resources of those namespaces in which the person may list them."""
        found = await self._cluster.resources(self._account(), plural)
        if await self._allows(person, "list", plural, "", "", ""):
            return found
        namespaces = sorted({one["metadata"]["namespace"] for one in found})
        allowed = {one for one in namespaces if await self._allows(person, "list", plural, "", one, "")}
        return [one for one in found if one["metadata"]["namespace"] in allowed]

    async def resource(self, person: Person, plural: str, namespace: str, name: str) -> Json:
        """Return one resource."""
        if not await self._allows(person, "get", plural, "", namespace, name):
            raise NotAllowed(f"{person.name} may not get {plural} in the namespace {namespace}")
        return await self._cluster.resource(self._account(), plural, namespace, name)

    async def may(self, person: Person, right: Right, namespace: str, name: str) -> bool:
        """Return whether RBAC gives the person a right; an answer counts for 30 s."""
        verb, resource, subresource = right.value
        return await self._allows(person, verb, resource, subresource, namespace, name)

    async def gateways(self, person: Person, namespace: str, name: str) -> list[GatewayAddress]:
        """Return the gateways of a route that the person may get. What they are asked has a right of its own."""
        route = await self.resource(person, ROUTES, namespace, name)
        fingerprint = str((route.get("status") or {}).get("adminCertificateSHA256") or "")
        if not fingerprint:
            raise NotFound(
                f"the status of route {namespace}/{name} does not name its gateways' certificate yet: the operator "
                "writes it when the route is accepted, and an earlier release of the operator does not"
            )
        makes = signer(self._console_key, str(route["metadata"]["uid"]))
        addresses = await self._cluster.addresses(self._account(), namespace, name)
        return [GatewayAddress(address, API_PORT, "", bytes.fromhex(fingerprint), makes) for address in addresses]

    async def apply(self, person: Person, document: Json, *, dry_run: bool) -> Json:
        """Write a resource as `Cluster.apply` does, for a person who may patch and create it."""
        plural = f"{document['kind'].lower()}s"
        metadata = document["metadata"]
        for verb in ("patch", "create"):
            if not await self._allows(person, verb, plural, "", metadata["namespace"], metadata["name"]):
                raise NotAllowed(f"{person.name} may not {verb} {plural} in the namespace {metadata['namespace']}")
        return await self._cluster.apply(self._account(), document, dry_run=dry_run)

    async def close(self) -> None:
        """Give the cluster's connections back."""
        await self._cluster.close()

    def _account(self) -> Person:
        return Person("the console", self._token_file.read_text().strip())

    async def _allows(
        self, person: Person, verb: str, resource: str, subresource: str, namespace: str, name: str
    ) -> bool:

        def review(attributes: Json) -> Awaitable[bool]:
            spec = {"user": person.name, "groups": [*person.groups, _AUTHENTICATED], "resourceAttributes": attributes}
            return self._cluster.review(self._account(), "SubjectAccessReview", spec)

        who = (person.name, person.groups)
        return await self._rights.allowed(who, (verb, resource, subresource, namespace, name), review)


class Either:
    """A cluster for both: who has a token of it is asked for with that, everybody else by the console's account."""

    def __init__(self, cluster: Cluster, delegated: Delegated) -> None:
        self._cluster = cluster
        self._delegated = delegated

    async def person(self, secret: str, namespaces: Sequence[str]) -> Person:
        """Return as whom the API server knows a token."""
        return await self._cluster.person(secret, namespaces)

    async def resources(self, person: Person, plural: str) -> list[Json]:
        """Return the resources of a kind."""
        return await self._for(person).resources(person, plural)

    async def resource(self, person: Person, plural: str, namespace: str, name: str) -> Json:
        """Return one resource."""
        return await self._for(person).resource(person, plural, namespace, name)

    async def may(self, person: Person, right: Right, namespace: str, name: str) -> bool:
        """Return whether a person has a right."""
        return await self._for(person).may(person, right, namespace, name)

    async def gateways(self, person: Person, namespace: str, name: str) -> list[GatewayAddress]:
        """Return the gateways of a route."""
        return await self._for(person).gateways(person, namespace, name)

    async def apply(self, person: Person, document: Json, *, dry_run: bool) -> Json:
        """Write a resource."""
        return await self._for(person).apply(person, document, dry_run=dry_run)

    async def close(self) -> None:
        """Give connections back."""
        await self._delegated.close()

    def _for(self, person: Person) -> Cluster | Delegated:
        return self._delegated if person.is_vouched else self._cluster
