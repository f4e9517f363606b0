"""Signed assertions that stand in for a secret (RFC 7521, RFC 7523)."""

from collections.abc import Mapping
from typing import Any

from dicomroute_gateway.deliver.faults import CredentialFault


def signed(claims: Mapping[str, Any], key: str, algorithm: str, headers: Mapping[str, str], what: str) -> str:
    """Return a JSON Web Token of `claims`, signed with a private key in PEM.

    Raises CredentialFault; `what` names the key in it.
    """
    import jwt  # noqa: PLC0415  # only where a key signs: it is not needed in a gateway without

    try:
        return jwt.encode(dict(claims), key, algorithm=algorithm, headers=dict(headers))
    except Exception as error:  # of a key there are as many kinds of errors as there are keys
        sentence = f"{what} is not a private RSA key in PEM without a password: write it again"
        raise CredentialFault("CredentialInvalid", sentence) from error
