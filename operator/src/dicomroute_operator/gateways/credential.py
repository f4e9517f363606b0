"""The admin credential of a route: derived from one key and the route's UID, so that nobody has to remember it.

The operator may not read Secrets, not even those that it writes. What it cannot read back it can make again: token, key
and certificate are functions of the key and the UID (`dicomroute_client.credential`).
"""

from functools import lru_cache

from dicomroute_client.credential import Access, access, derive, fingerprint, serving, token
from dicomroute_client.tokens import console_key, route_key
from dicomroute_operator.render.objects import AdminCredential

__all__ = ["Access", "access", "admin_credential", "fingerprint"]


@lru_cache(maxsize=4096)
def admin_credential(uid: str, key: bytes) -> AdminCredential:
    """Return the credential of the route with this UID: another route's tells nothing of it."""
    served = serving(uid, key)
    return AdminCredential(
        token=token(uid, key),
        certificate=served.certificate,
        key=served.key,
        configuration_key=derive(key, "configuration", uid).hex(),
        console_key=route_key(console_key(key), uid),
    )
