"""Who claims and files say somebody is: names and groups for RBAC, and nothing that Kubernetes keeps for itself."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_console.signin.claims import person_of
from dicomroute_console.signin.configuration import Issuer, Mistaken, of_text
from dicomroute_console.signin.local_users import MOST_WRONG, WAIT_SECONDS, LocalUsers
from dicomroute_console.sources.person import NotKnown, Person

BARE = Issuer.model_validate(
    {"issuer": "https://i.example", "audiences": ["a"], "usernamePrefix": "", "groupsPrefix": ""}
)
PREFIXED = Issuer.model_validate({"issuer": "https://i.example", "audiences": ["a"]})


def test_names_and_groups_have_the_issuers_prefixes() -> None:
    person = person_of({"sub": "ada", "groups": ["readers", 7, ""]}, PREFIXED)
    assert person == Person("oidc:ada", groups=("oidc:readers",), is_vouched=True)
    assert person_of({"sub": "ada", "groups": "readers"}, PREFIXED).groups == ("oidc:readers",)


def test_no_claim_makes_somebody_one_of_kubernetes_own() -> None:
    assert person_of({"sub": "ada", "groups": ["system:masters", "readers"]}, BARE).groups == ("readers",)
    with pytest.raises(NotKnown, match="a name of Kubernetes' own"):
        person_of({"sub": "system:admin"}, BARE)


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": 1}, {"sub": None}, {"sub": ["ada"]}])
def test_a_token_that_names_nobody_is_nobodys(claims: dict[str, Any]) -> None:
    with pytest.raises(NotKnown, match="has no claim 'sub'"):
        person_of(claims, PREFIXED)


def test_an_address_that_is_not_verified_names_nobody() -> None:
    issuer = PREFIXED.model_copy(update={"username_claim": "email"})
    assert person_of({"email": "a@b.example", "email_verified": True}, issuer).name == "oidc:a@b.example"
    with pytest.raises(NotKnown, match="has not verified"):
        person_of({"email": "a@b.example", "email_verified": False}, issuer)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.dictionaries(st.sampled_from(["sub", "groups", "email", "x"]), JSON | st.just(["system:masters"])))
def test_whatever_claims_there_are_nobody_is_one_of_kubernetes_own(claims: dict[str, Any]) -> None:
    try:
        person = person_of(claims, BARE)
    except NotKnown:
        return
    assert not any(one.startswith("system:") for one in (person.name, *person.groups))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"oidc": {"issuer": "http://i.example", "clientID": "c"}}, "is not an https URL"),
        ({"oidc": {"issuer": "https://i.example", "clientID": "c", "scopes": ["profile"]}}, "scopes lack openid"),
        ({"oidc": {"issuer": "https://i.example", "clientID": "c", "audiences": ["x"]}}, "for the client alone"),
        ({"jwt": [{"issuer": "https://i.example", "audiences": []}]}, "jwt.0.audiences"),
        ({"users": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_mistake_in_the_file_is_said_with_its_place(document: Any, sentence: str) -> None:
    with pytest.raises(Mistaken, match=sentence):
        of_text(json.dumps(document))


def test_a_user_waits_after_ten_wrong_passwords_and_not_for_ever(tmp_path: Path) -> None:
    file, now = tmp_path / "users", [0.0]
    file.write_text(f"linus:{PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash('right')}:readers\n")
    users = LocalUsers(file, lambda: now[0])

    async def signs_in(password: str) -> Person | None:
        try:
            return await users.person("linus", password)
        except NotKnown:
            return None

    async def story() -> None:
        found = await signs_in("right")
        assert found is not None
        assert (found.name, found.groups) == ("local:linus", ("local:readers",))
        for _ in range(MOST_WRONG):
            assert await signs_in("wrong") is None
        assert await signs_in("right") is None
        now[0] += WAIT_SECONDS + 1
        assert await signs_in("right") is not None

    asyncio.run(story())
