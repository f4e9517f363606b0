"""A real reverse proxy before an archive: httpd with mod_auth_openidc, which takes tokens of one Keycloak alone."""

import re

from apache import Apache
from certificates import Authority

from keycloak import STORING, Keycloak

_MODULES = ("ssl", "headers", "auth_openidc")


class ReverseProxy(Apache):
    """Passes to `archive` what carries a living token with the scope to store and the archive as its audience.

    It verifies tokens itself, by the keys that the Keycloak publishes (RFC 9068 4). It speaks TLS with a certificate of
    `authority`; with `clients` it wants a certificate of theirs besides the token.
    """

    def __init__(
        self,
        archive: str,
        keycloak: Keycloak,
        authority: Authority,
        *,
        clients: Authority | None = None,
        host: str = "127.0.0.1",
        names: tuple[str, ...] = ("127.0.0.1",),
    ) -> None:
        certificate, key = authority.issue(*names)
        self._name = names[0]
        directives = [
            "SSLEngine on",
            f"SSLCertificateFile {certificate}",
            f"SSLCertificateKeyFile {key}",
            f"OIDCOAuthVerifyJwksUri {keycloak.keys_url}",
            "OIDCCABundlePath ${FOLDER}/identity.pem",
            "<Location />",
            "  AuthType oauth20",
            "  <RequireAll>",
            f'    Require claim "scope~^(.* )?{re.escape(STORING)}( .*)?$"',
            "    Require claim aud:archive",
            "  </RequireAll>",
            "</Location>",
            "RequestHeader unset Authorization",
            f"ProxyPass /dicom-web {archive}",
        ]
        if clients is not None:
            directives += [f"SSLCACertificateFile {clients.file}", "SSLVerifyClient require"]
        super().__init__(_MODULES, directives, {"identity.pem": keycloak.authority.pem}, host=host)

    @property
    def url(self) -> str:
        return f"https://{self._name}:{self.port}/dicom-web"

    def tokens(self) -> set[str]:
        """Return the tokens that it let through."""
        return {one.credential.removeprefix("Bearer ") for one in self.requests() if one.status == 200}
