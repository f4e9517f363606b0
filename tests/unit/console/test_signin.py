"""Who is let in: sessions end, nobody chooses a number, and other sites' pages change nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomroute_console.signin.guard import refusal
from dicomroute_console.signin.sessions import ABSOLUTE_SECONDS, IDLE_SECONDS, MOST_SESSIONS, Sessions
from dicomroute_console.sources.person import Person

ADA = Person("ada", "a-token")
HOSTS = {"127.0.0.1", "dicom.example"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_when_nobody_uses_it_and_after_a_working_day() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    idle, used = sessions.begin(ADA), sessions.begin(ADA)
    while clock.now <= ABSOLUTE_SECONDS - IDLE_SECONDS / 2:
        clock.now += IDLE_SECONDS / 2
        assert sessions.person(used) == ADA
    assert sessions.person(idle) is None
    clock.now += IDLE_SECONDS / 2
    assert sessions.person(used) is None


def test_no_number_from_outside_is_a_session() -> None:
    sessions = Sessions()
    number = sessions.begin(ADA)
    assert sessions.person("") is sessions.person(number[:-1]) is sessions.person("chosen by somebody else") is None
    sessions.end(number)
    assert sessions.person(number) is None


def test_ten_thousand_sessions_are_kept_and_the_least_recent_goes_first() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    numbers = []
    for second in range(MOST_SESSIONS + 1):
        clock.now = second / 1000
        numbers.append(sessions.begin(ADA))
    assert len(set(numbers)) == MOST_SESSIONS + 1
    assert sessions.person(numbers[0]) is None
    assert all(sessions.person(number) == ADA for number in numbers[1:])


def test_a_token_is_in_no_text_of_a_person() -> None:
    assert "a-token" not in repr(ADA)


@pytest.mark.parametrize(
    "host, origin, site, answered",
    [
        ("dicom.example", "https://dicom.example", "same-origin", True),
        ("127.0.0.1:8090", "http://127.0.0.1:8090", None, True),
        ("127.0.0.1:8090", None, "same-origin", True),
        ("127.0.0.1:8090", "http://127.0.0.1:9999", None, False),
        ("127.0.0.1:8090", "http://127.0.0.1:9999", "same-site", False),
        ("127.0.0.1:8090", "https://evil.example", "cross-site", False),
        ("127.0.0.1:8090", "null", None, False),
        ("127.0.0.1:8090", None, None, False),
        ("127.0.0.1:8090", None, "none", False),
        ("evil.example", "https://evil.example", "same-origin", False),
        ("dicom.example.evil.example", "https://dicom.example.evil.example", "same-origin", False),
        ("", None, "same-origin", False),
    ],
)
def test_what_changes_something_comes_from_a_page_of_ours(
    host: str, origin: str | None, site: str | None, answered: bool
) -> None:
    assert (refusal("POST", host, origin, site, HOSTS, has_bearer=False) == "") is answered


def test_a_name_that_is_not_ours_is_not_answered_whoever_asks() -> None:
    for method in ("GET", "POST"):
        assert refusal(method, "rebound.example", None, None, HOSTS, has_bearer=True)
    assert refusal("GET", "127.0.0.1:8090", None, "cross-site", HOSTS, has_bearer=False) == ""
    assert refusal("POST", "127.0.0.1:8090", None, None, HOSTS, has_bearer=True) == ""


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from([None, "none", "cross-site", "same-site", "x"]))
def test_only_our_own_origin_gets_through(host: str, origin: str, site: str | None) -> None:
    if refusal("POST", host, origin, site, HOSTS, has_bearer=False) == "":
        assert origin.rpartition("//")[2] == host
        assert site is None
