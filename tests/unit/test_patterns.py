"""No pattern takes long for what a stranger sends: each is timed on 64 KB of its own alphabet."""

import importlib
import itertools
import pkgutil
import re
import time
from re import _constants, _parser  # type: ignore[attr-defined]
from types import ModuleType

import pytest

import dicomroute_cli
import dicomroute_gateway
import dicomroute_operator

_BYTES = 1 << 16
_SECONDS = 0.25
"""A linear pattern takes a few milliseconds; a quadratic one takes minutes."""


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def _patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    return {
        f"{module.__name__}.{name}": value
        for package in (dicomroute_gateway, dicomroute_cli, dicomroute_operator)
        for module in _modules(package)
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }


PATTERNS = _patterns()


def _alphabet(parsed: object) -> set[str]:
    """Return some characters of each set of characters that a parsed pattern names."""
    found: set[str] = set()
    for operation, argument in parsed:  # type: ignore[attr-defined]
        if operation in (_constants.LITERAL, _constants.NOT_LITERAL):
            found.add(chr(argument))
        elif operation is _constants.RANGE:
            found.update((chr(argument[0]), chr(argument[1])))
        elif operation is _constants.ANY:
            found.add("x")
        elif operation is _constants.CATEGORY:
            found.update("0 _x")
        elif operation is _constants.IN:
            found |= _alphabet([one for one in argument if one[0] is not _constants.NEGATE])
        elif operation is _constants.BRANCH:
            for branch in argument[1]:
                found |= _alphabet(branch)
        elif isinstance(argument, tuple):
            for one in argument:
                if isinstance(one, _parser.SubPattern):
                    found |= _alphabet(one)
    return found


def _texts(pattern: re.Pattern[str] | re.Pattern[bytes]) -> list[str]:
    letters = sorted(one for one in _alphabet(_parser.parse(pattern.pattern, pattern.flags)) if ord(one) < 256)
    letters = [one for one in letters if one.isprintable() or one in "\r\n\x1b"][:8] or ["x"]
    pieces = [*letters, *map("".join, itertools.permutations(letters[:4], 2)), "".join(letters)]
    return [(piece * _BYTES)[:_BYTES] + end for piece in pieces for end in ("", "!", "\n")]


def test_there_are_patterns() -> None:
    assert len(PATTERNS) > 20


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_a_pattern_is_quick_on_64_kb_of_its_own_alphabet(name: str) -> None:
    pattern = PATTERNS[name]
    for text in _texts(pattern):
        given = text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text
        begin = time.process_time()
        for ask in (pattern.fullmatch, pattern.match, pattern.search):
            ask(given)  # type: ignore[arg-type]
        assert time.process_time() - begin < _SECONDS, f"{text[:20]!r}…{text[-5:]!r}"


def test_a_quadratic_pattern_is_noticed() -> None:
    pattern = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?")
    slow = next(text for text in _texts(pattern) if text[:4] == "0000" and text.endswith("!"))
    begin = time.process_time()
    pattern.fullmatch(slow[-1000:])
    quarter = time.process_time() - begin
    begin = time.process_time()
    pattern.fullmatch(slow[-4000:])
    assert time.process_time() - begin > 8 * quarter
