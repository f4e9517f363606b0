"""Conditions in CEL over `study.FACT`: what a rule asks of a study once it is complete."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext.ext_strings import ExtStrings

from .expression import MAX_EXPRESSION_CHARACTERS, EvaluationError, ExpressionError, explain

STUDY_FACTS: Final = {
    "instances": cel.Type.INT,
    "newInstances": cel.Type.INT,
    "series": cel.Type.INT,
    "modalities": cel.Type.List(cel.Type.STRING),
    "firstArrival": cel.Type.INT,
    "lastArrival": cel.Type.INT,
    "basis": cel.Type.STRING,
    "revision": cel.Type.INT,
}
"""What is known of a complete study. `instances` and `series` are those of all its revisions, `newInstances` those of
this one; the arrivals are those of the first and last instance of this one, in seconds since 1970."""
_UNDECLARED: Final = re.compile(r"undeclared reference to '(study|instance|association)(?:\.([A-Za-z0-9_]+))?'")

Fact = int | str | list[str]


@dataclass(frozen=True, slots=True)
class StudyCondition:
    """A compiled condition."""

    text: str
    _program: Any

    def evaluate(self, facts: Mapping[str, Fact]) -> bool:
        """Return the answer for a study; `facts` has a value for each of `STUDY_FACTS`. Raises EvaluationError."""
        try:
            result = self._program.eval(data={f"study.{name}": facts[name] for name in STUDY_FACTS})
        except Exception as error:
            raise EvaluationError("the values cannot be compared") from error
        if result.type() != cel.Type.BOOL:
            raise EvaluationError("no answer for these values")
        return bool(result.value())


@lru_cache(256)
def compile_condition(text: str) -> StudyCondition:
    """Return the compiled form of a condition. Raises ExpressionError, which says what to write."""
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise ExpressionError(f"an expression has at most {MAX_EXPRESSION_CHARACTERS} characters, this has {len(text)}")
    try:
        program = _environment().compile(text)
    except RuntimeError as error:
        raise ExpressionError(_sentence(str(error))) from error
    if program.return_type() != cel.Type.BOOL:
        kind = program.return_type().name()
        raise ExpressionError(f"the condition answers {kind}; it must answer true or false")
    return StudyCondition(text, program)


@cache
def _environment() -> Any:
    variables = {f"study.{name}": kind for name, kind in STUDY_FACTS.items()}
    return cel.NewEnv(variables=variables, extensions=[ExtStrings()])


def _sentence(message: str) -> str:
    found = _UNDECLARED.search(message)
    if found is None:
        return explain(message)
    kind, name = found.groups()
    if kind != "study":
        return f"a condition over studies knows no {kind}: write it into when"
    if name is None:
        return "write study with a period and a fact behind it, such as study.instances"
    near = difflib.get_close_matches(name, STUDY_FACTS, n=1)
    hint = f"did you mean study.{near[0]}?" if near else f"there are {', '.join(STUDY_FACTS)}"
    return f"study.{name} is unknown; {hint}"
