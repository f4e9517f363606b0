"""A profile with its keys: all that de-identifying needs beside the instance. Pure."""

import json
from dataclasses import dataclass, field

from dicomroute_gateway.configuration.profile import Profile

from .deidentify.plan import Plan, resolve
from .deidentify.pseudonyms import Noted


@dataclass(frozen=True, slots=True)
class Keyed:
    """A profile with its words, its keys, the one for new patients first, and the pseudonyms that recipients have."""

    profile: Profile
    keys: tuple[bytes, ...] = field(repr=False)
    known: frozenset[str] = frozenset()

    def plan(self, noted: Noted | None = None) -> Plan:
        """Return what it comes to. Raises ValueError for a short key."""
        first, *older = self.keys
        return resolve(self.profile, first, noted, older=older, known=self.known)

    def form(self) -> bytes:
        """Return it as a secret text, the same for what is the same."""
        document = {
            "profile": self.profile.model_dump(mode="json", by_alias=True),
            "keys": [key.hex() for key in self.keys],
            "known": sorted(self.known),
        }
        return json.dumps(document).encode()


def keyed_of(form: bytes) -> Keyed:
    """Return what has such a form."""
    found = json.loads(form)
    return Keyed(
        Profile.model_validate(found["profile"]), tuple(map(bytes.fromhex, found["keys"])), frozenset(found["known"])
    )
