"""Who gets into the console beside people with a token of the cluster: at a real Keycloak, by HTTP and in a browser."""

import base64
import html
import http.cookiejar
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from argon2 import PasswordHasher
from console import Answer, ask, audit_lines, chromium, fetch_assets, watch
from console_cluster import VIEW, InCluster, console_rules
from control_plane import ControlPlane
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from manifests import Json
from playwright.sync_api import expect
from processes import wait_until

from keycloak import Keycloak

ROUTE = "/routes/default/ct-to-cloud"
PASSWORD = "an-example-of-a-password"
AUDIENCE = "dicomroute-api"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Signing:
    """A console whose people come from Keycloak, from its tokens, and from a file of local users."""

    def __init__(self, keycloak: Keycloak, plane: ControlPlane, folder: Path, root: Path) -> None:
        self.keycloak = keycloak
        self.folder = folder
        self.users = folder / "users"
        self.users.write_text(f"# local users\nlinus:{PasswordHasher().hash(PASSWORD)}:readers,system:masters\n")
        issuer = {"issuer": keycloak.issuer, "authoritiesFile": str(keycloak.authority.file)}
        claims = {"usernameClaim": "preferred_username", "usernamePrefix": "oidc:", "groupsPrefix": "oidc:"}
        self._client("dicomroute", public=True)
        said = {
            "oidc": {**issuer, **claims, "name": "Hospital", "clientID": "dicomroute", "scopes": ["openid"]},
            "jwt": [{**issuer, **claims, "audiences": [AUDIENCE]}],
            "usersFile": str(self.users),
        }
        (folder / "sign-in.json").write_text(json.dumps(said))
        (folder / "account").write_text("none yet")
        options = [f"--sign-in={folder / 'sign-in.json'}", f"--account-token={folder / 'account'}"]
        self.there = InCluster(plane, folder, root, [*options, f"--console-key={folder / 'console-key'}"])
        self._account(root)
        self._grant("oidc:/readers", [*VIEW[:1], *console_rules(root)])
        self._grant("local:readers", VIEW[:1])
        self.url = self.there.url.replace("127.0.0.1", "localhost")
        group = keycloak.administer("POST", "/groups", {"name": "readers"}).rpartition("/")[2]
        for name, groups in (("ada", [group]), ("eve", [])):
            self._user(name, groups)

    def _client(self, name: str, *, public: bool) -> None:
        mapper = {"protocol": "openid-connect", "consentRequired": False}
        both = {"access.token.claim": "true", "id.token.claim": "true"}
        named = {"user.attribute": "username", "claim.name": "preferred_username", "jsonType.label": "String", **both}
        self.keycloak.administer(
            "POST",
            "/clients",
            {
                "clientId": name,
                "publicClient": public,
                "standardFlowEnabled": True,
                "directAccessGrantsEnabled": True,
                "redirectUris": ["http://localhost:*", "http://127.0.0.1:*"],
                "attributes": {
                    "pkce.code.challenge.method": "S256",
                    "post.logout.redirect.uris": "+",
                    "access.token.lifespan": "300",
                },
                "protocolMappers": [
                    {**mapper, "name": "n", "protocolMapper": "oidc-usermodel-attribute-mapper", "config": named},
                    {
                        **mapper,
                        "name": "g",
                        "protocolMapper": "oidc-group-membership-mapper",
                        "config": {"claim.name": "groups", "full.path": "true", **both},
                    },
                    {
                        **mapper,
                        "name": "a",
                        "protocolMapper": "oidc-audience-mapper",
                        "config": {"included.custom.audience": AUDIENCE, "access.token.claim": "true"},
                    },
                ],
            },
        )

    def _user(self, name: str, groups: list[str]) -> None:
        user = {
            "username": name,
            "enabled": True,
            "email": f"{name}@hospital.example",
            "firstName": name,
            "lastName": "Example",
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
        }
        made = self.keycloak.administer("POST", "/users", user).rpartition("/")[2]
        for group in groups:
            self.keycloak.administer("PUT", f"/users/{made}/groups/{group}", {})

    def _account(self, root: Path) -> None:
        """Give the console the account that the chart gives it, with its rights."""
        there = self.there
        token = there.person("default", "console", [])
        rules = {
            "asks": [
                {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}
            ],
            "reads": _golden(root, "dicomroute-console-reads"),
        }
        for name, several in rules.items():
            plural = f"console-{name}"
            for path, document in (
                ("clusterroles", {"metadata": {"name": plural}, "rules": several}),
                (
                    "clusterrolebindings",
                    {
                        "metadata": {"name": plural},
                        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": plural},
                        "subjects": [{"kind": "ServiceAccount", "name": "console", "namespace": "default"}],
                    },
                ),
            ):
                answer = there.plane.request("POST", f"{RBAC}/{path}", document)
                assert answer.code == 201, answer.message
        (self.folder / "account").write_text(token)

    def _grant(self, group: str, rules: list[Json]) -> None:
        name = re.sub("[^a-z]", "-", group)
        there = self.there
        there.create(RBAC, "roles", {"metadata": {"name": name}, "rules": rules})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group}],
        }
        there.create(RBAC, "rolebindings", binding)

    def token(self, name: str) -> str:
        """Return a token that Keycloak gives a person for the API of the console."""
        form = {"grant_type": "password", "client_id": "dicomroute", "username": name, "password": PASSWORD}
        return self.keycloak.token(form)

    def ask(self, path: str, token: str = "", **options: Any) -> Answer:
        if token:
            options["Authorization"] = f"Bearer {token}"
        return ask(self.url, path, **options)

    def local(self, name: str, password: str) -> Answer:
        return self.ask("/sign-in", form={"user": name, "password": password}, Origin=self.url)


def _golden(root: Path, name: str) -> list[Json]:
    """Return the rules of a role as the chart renders it."""
    import yaml

    text = (root / "tests" / "golden" / "chart" / "console-sign-in.yaml").read_text()
    (role,) = [
        one
        for one in yaml.safe_load_all(text)
        if one and one["kind"] == "ClusterRole" and one["metadata"]["name"] == name
    ]
    return list(role["rules"])


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    found = Keycloak(tmp_path_factory.mktemp("keycloak"), host="localhost", names=("localhost",))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def signing(
    keycloak: Keycloak, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory, root: Path
) -> Iterator[Signing]:
    found = Signing(keycloak, control_plane, tmp_path_factory.mktemp("console-sign-in"), root)
    yield found
    found.there.stop()


def cookie(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


class Browserless:
    """Keycloak's log-in by HTTP, as a browser does it."""

    def __init__(self, keycloak: Keycloak) -> None:
        tls = ssl.create_default_context(cafile=str(keycloak.authority.file))
        jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(secure_protocols=("https", "http")))
        stay = type("Stay", (urllib.request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=tls), urllib.request.HTTPCookieProcessor(jar), stay()
        )

    def log_in(self, url: str, name: str) -> str:
        """Return where Keycloak sends the browser back."""
        with self._opener.open(url, timeout=60) as response:
            form = re.search(r'action="([^"]+)"', response.read().decode())
        assert form
        data = urlencode({"username": name, "password": PASSWORD}).encode()
        with pytest.raises(urllib.error.HTTPError) as sent:
            self._opener.open(html.unescape(form[1]), data, timeout=60)
        assert sent.value.code == 302
        return str(sent.value.headers["location"])


def test_a_person_of_the_issuer_does_what_rbac_gives_his_group(signing: Signing) -> None:
    left = signing.ask("/sign-in/oidc")
    asked = parse_qs(urlsplit(left.headers["location"]).query)
    assert (asked["code_challenge_method"], asked["response_type"]) == (["S256"], ["code"])
    back = Browserless(signing.keycloak).log_in(left.headers["location"], "ada")
    path = back.removeprefix(signing.url)
    came = signing.ask(path, Cookie=cookie(left))
    assert came.code == 200, came.text
    session = next(one for one in came.all("set-cookie") if "pending" not in one)
    assert {"HttpOnly", "Secure", "SameSite=strict"} <= set(session.split("; "))
    number = session.partition(";")[0]
    assert "eyJ" not in session, "tokens stay on the server"
    shown = signing.ask(f"{ROUTE}/queue", Cookie=number)
    assert (shown.code, "oidc:ada" in shown.text, "Unmatched" in shown.text) == (200, True, True)
    for again, kept in ((path, cookie(left)), (path, ""), (path.replace("state=", "state=x"), cookie(left))):
        assert signing.ask(again, Cookie=kept).code == 401, (
            "a code counts once, in the browser that asked, for its state"
        )
    ended = signing.ask("/sign-out", form={}, Cookie=number, Origin=signing.url)
    assert f"{signing.keycloak.issuer}/protocol/openid-connect/logout" in ended.text
    assert signing.ask("/", Cookie=number).code == 303


def test_people_sign_in_and_out_in_a_browser(signing: Signing, root: Path) -> None:
    fetch_assets(root)
    with chromium() as browser:
        context, watched = watch(browser, signing.url, ignore_https_errors=True)
        watched.open("/sign-in")
        page = watched.page
        page.get_by_role("link", name="Sign in with Hospital").click()
        page.locator("#username").fill("ada")
        page.locator("#password").fill(PASSWORD)
        page.locator("#kc-login").click()
        expect(page.get_by_text("oidc:ada")).to_be_visible()
        expect(page.get_by_role("link", name="default/ct-to-cloud")).to_be_visible()
        assert [one["sameSite"] for one in context.cookies() if one["name"] == "__Host-dicomroute-console"] == [
            "Strict"
        ]
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_role("link", name="Sign in with Hospital").click()
        expect(page.locator("#username")).to_be_visible()  # the session at the issuer has ended too
        context.close()


def test_a_person_without_a_group_sees_nothing(signing: Signing) -> None:
    token = signing.token("eve")
    assert "You cannot see any route" in signing.ask("/", token).text
    for path in (ROUTE, f"{ROUTE}/queue", f"{ROUTE}/queue/drop"):
        assert signing.ask(path, token).code == 403
    refused = [one for one in audit_lines(signing.there.log) if one["event"] == "console.refused"]
    assert {one["by"] for one in refused} == {"oidc:eve"}


def test_a_program_sends_a_token_of_the_issuer(signing: Signing) -> None:
    assert "Unmatched" in signing.ask(f"{ROUTE}/queue", signing.token("ada")).text


def test_tokens_that_are_not_for_us_open_nothing(signing: Signing) -> None:
    token = signing.token("ada")
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    kid = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    stranger = RSAKey.generate_key(2048)
    foreign = jwt.encode({"alg": "RS256", "kid": kid}, claims, stranger)
    unknown = jwt.encode({"alg": "RS256", "kid": "unknown"}, claims, stranger)
    shared = jwt.encode({"alg": "HS256", "kid": kid}, claims, OctKey.import_key("a key that everybody knows"))
    other = signing.keycloak.client("another-example-of-a-secret").token()
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    bad = {
        "alg none": f"{none}.{payload}.",
        "a key of somebody": foreign,
        "a key that is not published": unknown,
        "a shared key": shared,
        "another audience": other,
        "another signature": f"{header}.{payload}.{flipped}",
    }
    for what, one in bad.items():
        answer = signing.ask("/", one)
        assert (what, answer.code) == (what, 401)


def test_a_local_user_is_who_the_file_says_and_out_when_he_is_not(signing: Signing) -> None:
    assert signing.local("linus", "wrong").code == signing.local("nobody", PASSWORD).code == 401
    answer = signing.local("linus", PASSWORD)
    assert answer.code == 303, answer.text
    number = cookie(answer)
    assert "default/ct-to-cloud" in signing.ask("/", Cookie=number).text
    assert signing.ask(f"{ROUTE}/queue", Cookie=number).code == 403, (
        "system:masters of the file is local:system:masters"
    )
    before = signing.users.read_text()
    try:
        signing.users.write_text("# nobody\n")
        assert signing.ask("/", Cookie=number).code == 303
    finally:
        signing.users.write_text(before)
    assert signing.ask("/", Cookie=number).code == 303, "the session has ended"


def test_after_ten_wrong_passwords_the_right_one_waits(signing: Signing) -> None:
    signing.users.write_text(signing.users.read_text() + f"guessed:{PasswordHasher().hash(PASSWORD)}\n")
    for _ in range(10):
        assert signing.local("guessed", "wrong").code == 401
    answer = signing.local("guessed", PASSWORD)
    assert (answer.code, "wait 5 minutes" in answer.text) == (401, True)
    assert signing.local("linus", PASSWORD).code == 303, "others do not wait"


def test_the_account_of_the_console_reads_no_secret_and_impersonates_nobody(signing: Signing) -> None:
    token = (signing.folder / "account").read_text()
    plane = signing.there.plane
    spec = {"user": "system:serviceaccount:default:console"}
    for group, resource, verb in (("", "secrets", "get"), ("", "users", "impersonate"), ("", "pods", "create")):
        attributes = {"group": group, "resource": resource, "verb": verb, "namespace": "default"}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = plane.request("POST", path, {"spec": {**spec, "resourceAttributes": attributes}})
        assert (resource, answer.body["status"]["allowed"]) == (resource, False)
    assert token not in "\n".join(json.dumps(one) for one in audit_lines(signing.there.log))


def test_keys_change_and_the_issuer_may_be_down(signing: Signing) -> None:
    """The last test of this file: afterwards Keycloak is down."""
    before = signing.token("ada")
    assert signing.ask("/", before).code == 200
    provider = {
        "name": "newer",
        "providerId": "rsa-generated",
        "providerType": "org.keycloak.keys.KeyProvider",
        "config": {"priority": ["500"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]},
    }
    signing.keycloak.administer("POST", "/components", provider)
    after = signing.token("ada")
    assert after.split(".")[0] != before.split(".")[0], "it signs with the newer key"
    # An unknown key makes the console ask once a minute at most; the test of others' tokens has just used that.
    wait_until(lambda: signing.ask("/", after).code == 200, "the newer key is not known", 70)
    assert signing.ask("/", before).code == 200, "both are published"
    signing.keycloak.stop()
    assert signing.ask("/", after).code == 200, "keys that are known count on"
    assert signing.local("linus", PASSWORD).code == 303, "local users are the way in"
