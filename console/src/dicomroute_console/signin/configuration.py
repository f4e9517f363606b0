"""Whom the console knows beside people with a token of the cluster: a file, made by the chart of `console.signIn`."""

import json
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Mistaken(Exception):
    """The file is not as it should be; the sentence says where."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class Issuer(_Model):
    """An issuer of JSON Web Tokens (RFC 7519), and who its claims say somebody is, for RBAC.

    Claims and prefixes mean what the structured authentication of an API server means by them: with the same ones a
    person has the same name here and there.
    """

    issuer: str
    """The `iss` of its tokens, exactly; its discovery document is below it (OpenID Connect Discovery 1.0, 4)."""
    audiences: Annotated[list[str], Field(min_length=1)]
    """A token is for one of them, or refused."""
    username_claim: Annotated[str, Field(min_length=1)] = "sub"
    username_prefix: str = "oidc:"
    groups_claim: str = "groups"
    groups_prefix: str = "oidc:"
    authorities_file: str = ""
    """Those that its certificate is of; empty: the machine's."""

    @model_validator(mode="after")
    def _is_over_tls(self) -> Self:
        address = urlsplit(self.issuer)
        if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _LOOPBACK):
            raise ValueError(f"issuer {self.issuer!r} is not an https URL: the traffic could be changed on the way")
        return self


class Provider(Issuer):
    """An issuer at which people sign in by the authorization code flow, and the client that the console is there."""

    audiences: list[str] = []
    name: Annotated[str, Field(min_length=1, max_length=64)] = "OpenID Connect"
    """What the button says."""
    client_id: Annotated[str, Field(alias="clientID", min_length=1)]
    client_secret_file: str = ""
    """Empty: a public client; PKCE (RFC 7636) protects either."""
    scopes: list[str] = ["openid", "profile"]

    @model_validator(mode="after")
    def _asks_for_an_id_token(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes lack openid: the issuer would give no ID token")
        if self.audiences:
            raise ValueError("audiences: an ID token is for the client alone; name other tokens' issuers under jwt")
        return self


class SignIn(_Model):
    """Who signs in beside people with a token of the cluster."""

    oidc: Provider | None = None
    jwt: list[Issuer] = []
    """Issuers whose tokens programs send."""
    users_file: str = ""
    """Local users, a line each: NAME:HASH[:GROUP,GROUP], the hash by argon2 as `dicomroute-console --hash` makes it."""


def of_text(text: str) -> SignIn:
    """Return what JSON says. Raises Mistaken."""
    try:
        return SignIn.model_validate(json.loads(text))
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Mistaken(said) from error
    except ValueError as error:
        raise Mistaken(f"the file is not valid JSON: {error}") from error
