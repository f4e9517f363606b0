"""The ways in beside a token of the cluster: an issuer's sign-in, tokens of issuers, local users."""

from pathlib import Path

from dicomroute_console.sources.person import Person

from .code_flow import CodeFlow
from .configuration import SignIn
from .issuers import Endpoint, Issuers
from .local_users import LocalUsers


class Doors:
    """Those ways in that are configured; none by default."""

    def __init__(self, signing: SignIn | None = None) -> None:
        signing = signing or SignIn()
        self.flow = CodeFlow(signing.oidc) if signing.oidc else None
        self.users = LocalUsers(Path(signing.users_file)) if signing.users_file else None
        self._issuers = Issuers([Endpoint(one) for one in signing.jwt])

    async def bearer(self, token: str) -> Person | None:
        """Return whose token a program sends; None where it is of no configured issuer. Raises NotKnown, OutOfReach."""
        return await self._issuers.person(token)

    def still(self, person: Person) -> bool:
        """Return whether who signed in is still known: a local user may have been removed. Raises OutOfReach."""
        return not person.mark or (self.users is not None and self.users.still(person))

    async def close(self) -> None:
        """Close all connections."""
        await self._issuers.close()
        if self.flow is not None:
            await self.flow.close()
