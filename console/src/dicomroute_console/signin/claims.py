"""From the claims of a verified token to the person that RBAC knows. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from dicomroute_console.sources.person import NotKnown, Person

from .configuration import Issuer

RESERVED: Final = "system:"
"""What names of Kubernetes' own begin with. A group `system:masters` from outside would be every right there is."""
_MOST_GROUPS: Final = 500


def person_of(claims: Mapping[str, Any], issuer: Issuer) -> Person:
    """Return who the claims say it is, by name and groups with the issuer's prefixes. Raises NotKnown.

    A group whose name would be one of Kubernetes' own is left out.
    """
    named = claims.get(issuer.username_claim)
    if not isinstance(named, str) or not named.strip():
        raise NotKnown(f"the token of {issuer.issuer} has no claim {issuer.username_claim!r} that names a person")
    if issuer.username_claim == "email" and claims.get("email_verified", True) is not True:
        raise NotKnown(f"{issuer.issuer} has not verified the address {named!r}")
    name = issuer.username_prefix + named
    if name.startswith(RESERVED):
        raise NotKnown(f"{name!r} is a name of Kubernetes' own: set usernamePrefix")
    return Person(name, groups=_groups(claims.get(issuer.groups_claim), issuer.groups_prefix), is_vouched=True)


def _groups(found: Any, prefix: str) -> tuple[str, ...]:
    several = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    names = (prefix + one for one in several if isinstance(one, str) and one)
    return tuple(one for one in names if not one.startswith(RESERVED))[:_MOST_GROUPS]
