"""The client credentials grant of OAuth 2.0 (RFC 6749 4.4), with the dialects of its endpoints.

What a token is for is said by `scope` (the standard), `audience` (Auth0) or `resource` (RFC 8707, Entra's version 1).
"""

from pathlib import Path

from dicomroute_gateway.configuration.credentials import ClientAuthentication, OAuth2ClientCredentialsAuth

from .exchange import Exchange, Request, basic, bearer_token
from .files import digest, read_text
from .tokens import TokenSource


def source(auth: OAuth2ClientCredentialsAuth, secrets: Path, exchange: Exchange) -> TokenSource:
    """Return where tokens come from. Raises CredentialFault."""
    secret = read_text(secrets, auth.client_secret_file)
    form = {"grant_type": "client_credentials"}
    if auth.scopes:
        form["scope"] = " ".join(auth.scopes)
    if auth.audience:
        form["audience"] = auth.audience
    if auth.resource:
        form["resource"] = auth.resource
    form |= {one.name: one.value for one in auth.parameters}
    headers = {"Accept": "application/json"}
    if auth.client_authentication is ClientAuthentication.BASIC:
        headers["Authorization"] = basic(auth.client_id, secret, form_encoded=True)
    else:
        form |= {"client_id": auth.client_id, "client_secret": secret}
    request = Request(auth.token_url, form, headers)
    identity = (auth.model_dump_json(), digest(secret))
    return TokenSource(auth.type, identity, lambda: bearer_token(exchange, request))
