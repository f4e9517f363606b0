"""A real forward proxy that asks for a password: httpd with mod_proxy, which tunnels and passes plain requests on."""

import base64
import hashlib

from apache import Apache


class ForwardProxy(Apache):
    """Lets `username` through with `password`, to any host and port."""

    def __init__(self, username: str, password: str) -> None:
        directives = [
            "ProxyRequests On",
            "AllowCONNECT 1-65535",
            '<Proxy "*">',
            "  AuthType Basic",
            '  AuthName "proxy"',
            "  AuthUserFile ${FOLDER}/users",
            "  Require valid-user",
            "</Proxy>",
        ]
        # httpd reads this form without a library of its own; the password is nobody's
        hashed = base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()
        users = {"users": f"{username}:{{SHA}}{hashed}\n"}
        super().__init__(("proxy_connect", "auth_basic", "authn_file"), directives, users)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"
