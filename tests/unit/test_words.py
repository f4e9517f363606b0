"""What people read is plain English: subject, verb, object; the words that other projects use."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dicomroute_gateway.reasons import Reason
from dicomroute_operator.api.conditions import CONDITIONS

HABITS: dict[str, str] = {
    r"\bfor ever\b": "until it succeeds",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\b(is|are|was|be|and) tried again\b": "is retried",
    r"\btry again\b": "retry",
    r"\b(?<!not )goes on (?!with)\b|\bgo on (by|with the last|working)\b": "continues, stays in effect",
    r"\bnobody\b|\bsomebody\b|\beverybody\b": "name who: the node, the caller, a user; or use no, any, every",
    r"\bwhoever\b|\bwhom\b|\bhe may\b|\bwho (writes|reads|shows|asks|touches)\b": "if you, users who, any",
    r"\bsays? not\b|\blets? not\b|\bhave not the\b": "does not say, has no",
    r"\bone that\b|\bof which\b|\bthose that\b|\ball that\b": "name the thing again",
    r"\bfor want of\b": "because no",
    r"\bso that (it|they|nothing|nobody|the node) (is|are|has|have|may)\b": "so, in a sentence of its own",
    r"(?<!there )\bis no (?!longer\b|more\b)\w": "is not a",
    r"\b(contradicts|changes|speaks|takes|writes) (no|nothing)\b": "is consistent, does not change",
    r"\bknows nothing\b|\bof no moment\b|\bhow [\w ]+ stands?\b|\bthat stands?\b": "state, open, does not matter",
    r"\blooks? (after|whether)\b": "manages; check that",
    r"\bin clear\b(?! text)": "unencrypted",
    r"\bwants? (a|an|another|to|no|TLS)\b": "requires",
    r"\bcomes? about\b|\bat work\b|\bbecomes? of\b|\bbecame of\b": "happens, runs",
    r"\bhave it (renewed|issued)\b|\bhas to (have|answer|be of|show)\b": "renew it; must",
    r"\b(nodes|destinations|instances|listeners|it|them|this|those|that|characters|TLS) alone\b": "only",
}
"""Old habits, and what stands in their place."""

PROSE = re.compile(r"[A-Za-z]+ [A-Za-z]+ [A-Za-z]+")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    """Return what a page says, without code and addresses."""
    return CODE.sub(" ", page.read_text())


def habits_of(text: str) -> list[str]:
    """Return the habits in a sentence, with what to write."""
    plain = " ".join(text.split())
    return [
        f"{found[0]!r} ({instead}) in: {plain[max(0, found.start() - 60) : found.end() + 60]}"
        for habit, instead in HABITS.items()
        for found in re.finditer(habit, plain, re.IGNORECASE)
    ]


def spoken(source: Path) -> Iterator[str]:
    """Yield the texts of a module that a program can print: literals that are no comment on something."""
    tree = ast.parse(source.read_text())
    comments = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    inner = {id(part) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) for part in ast.walk(one)} - {
        id(one) for one in ast.walk(tree) if isinstance(one, ast.JoinedStr)
    }
    for one in ast.walk(tree):
        if id(one) in comments or id(one) in inner:
            continue
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value
        elif isinstance(one, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in one.values)


def help_texts(source: Path) -> Iterator[str]:
    """Yield the doc strings of a module of commands, which typer prints as help."""
    for one in ast.parse(source.read_text()).body:
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
            yield ast.get_docstring(one) or ""


def described(document: object) -> Iterator[str]:
    """Yield descriptions of fields and messages of rules in a CustomResourceDefinition."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("description", "message") and isinstance(value, str):
                yield value
            else:
                yield from described(value)
    elif isinstance(document, list):
        for value in document:
            yield from described(value)


def sentences(root: Path) -> Iterator[tuple[str, str]]:
    """Yield where and what of everything that a person meets from the code."""
    for kind, _ in CONDITIONS:
        yield f"condition {kind.declared_type()}", kind.__doc__ or ""
        for reason in kind:
            yield f"reason {reason}", reason.meaning
    for word in Reason:
        yield f"reason {word}", word.meaning
    for path in sorted(root.glob("crds/*.yaml")):
        for text in described(yaml.safe_load(path.read_text())):
            yield path.name, text
    for part in ("cli", "operator", "gateway", "console"):
        for path in sorted((root / part / "src").rglob("*.py")):
            for text in spoken(path):
                if PROSE.search(text):
                    yield str(path.relative_to(root)), text
    for path in sorted((root / "cli" / "src").glob("*/commands/*.py")):
        for text in help_texts(path):
            yield str(path.relative_to(root)), text
    for text in spoken(root / "tools" / "dashboard.py"):
        yield "tools/dashboard.py", text
    chart = root / "charts" / "dicomroute"
    alerts = yaml.safe_load((chart / "files" / "alerts.yaml").read_text())
    for alert in (one for group in alerts["groups"] for one in group["rules"]):
        for text in alert["annotations"].values():
            yield f"alert {alert['alert']}", text
    yield "NOTES.txt", re.sub(r"\{\{.*?\}\}", " ", (chart / "templates" / "NOTES.txt").read_text())
    yield "values.yaml", "\n".join(re.findall(r"#(?: --)? (.*)", (chart / "values.yaml").read_text()))
    for path in sorted((chart / "templates").glob("admission-*.yaml")):
        for text in re.findall(r'"([^"]{20,})"', re.sub(r"^ *#.*", "", path.read_text(), flags=re.MULTILINE)):
            yield path.name, text
    for path in sorted((root / "console" / "src").rglob("*.html")):
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", "\n", path.read_text(), flags=re.DOTALL)
        for line in text.splitlines():
            yield path.name, line


def pages(root: Path) -> Iterator[Path]:
    """Yield the pages that people write; decisions stand as they were written, and references are made."""
    yield root / "README.md"
    for path in sorted((root / "docs").rglob("*.md")):
        if not {"adr", "reference"} & set(path.parts) and path.name != "conditions.md":
            yield path


def test_what_people_meet_from_the_code_is_plain_english(root: Path) -> None:
    found = sorted({f"{where}: {one}" for where, text in sentences(root) for one in habits_of(text)})
    assert found == [], "\n" + "\n".join(found)


def test_everything_that_speaks_is_looked_at(root: Path) -> None:
    places = {where for where, _ in sentences(root)}
    assert {"reason PlainHTTP", "dicomroutes.yaml", "alert DicomrouteHeld", "values.yaml", "NOTES.txt"} <= places
    assert len([text for where, text in sentences(root) if where.startswith(("cli", "operator"))]) > 500


def test_the_documentation_is_plain_english(root: Path) -> None:
    found = [f"{path.relative_to(root)}: {one}" for path in pages(root) for one in habits_of(text_of(path))]
    assert found == [], "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "old",
    [
        "DicomNode X says not where it may call from, so that listener L refuses it",
        "it is tried again for ever",
        "mend the destinations that are behind",
        "Nothing contradicts anything: the manifest contradicts nothing.",
        "A copy made file by file beside it is of no moment.",
        "Associations that stand.",
        "How the gateway stands.",
        "held for want of a rule",
        "Instances that nobody is still to get.",
        "Who touches receiving or keeping reads the page first.",
        "the certificate of one that answers is no certificate",
        "give it a certificate: the listener wants one, and it looks whether that port wants TLS",
    ],
)
def test_old_sentences_are_found(old: str) -> None:
    assert habits_of(old)


@pytest.mark.parametrize(
    "new",
    [
        "DicomNode X has no allowedSources, so listener L refuses it: add allowedSources",
        "there is no DicomNode X in the namespace: create it, or correct the name",
        "each delivery is retried until it succeeds",
        "the destination does not exist any more, so the last usable version stays in effect",
    ],
)
def test_plain_sentences_pass(new: str) -> None:
    assert habits_of(new) == []
