"""CEL expressions over `instance.KEYWORD` and `association.FACT`: compiled once, with types, then evaluated."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext.ext_strings import ExtStrings

from .attributes import ASSOCIATION_FACTS, ATTRIBUTES, Attribute, Form, Value, check_fact

MAX_EXPRESSION_CHARACTERS: Final = 2048
_REFERENCE: Final = re.compile(r"\b(instance|association)\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '(instance|association)(?:\.([A-Za-z0-9_]+))?'")
_STUDY: Final = re.compile(r"undeclared reference to 'study[.']")
_NAME_ALONE: Final = re.compile(r"undeclared reference to '([A-Za-z0-9_]+)' \(in container ''\)")
_SINGLE_EQUALS: Final = re.compile(r"token recognition error at: '=[^=]")
_NUMBER_AND_TEXT: Final = re.compile(
    r"no matching overload for '_([^_']+)_' applied to '\((?:(?:wrapper\()?(?:int|double)\)?, (?:wrapper\()?string"
    r"|(?:wrapper\()?string\)?, (?:wrapper\()?(?:int|double))"
)
_POSITION: Final = re.compile(r"<input>:(\d+):(\d+): (.*)")

_KINDS: Final = ("No matching overloads", "Index error", "Key not found", "cannot convert", "divide by zero")

_VALUE_TYPES: Final = (
    *("STRING", "INT", "DOUBLE", "NULL", "DYN", "LIST<STRING>", "LIST<INT>", "LIST<DOUBLE>", "LIST<DYN>"),
)

_CHECKED: Final = {
    Form.TEXT: cel.Type.STRING,
    Form.INTEGER: cel.Type("google.protobuf.Int64Value"),
    Form.DECIMAL: cel.Type("google.protobuf.DoubleValue"),
}
"""Numbers are nullable for the checker, so that `instance.Rows == null` passes and `== "512"` does not."""


class ExpressionError(ValueError):
    """An expression does not compile; the message says where and what to do."""


class EvaluationError(Exception):
    """An expression compiled, but has no answer for these values."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A compiled expression, and the attributes and facts that it speaks of."""

    text: str
    attributes: tuple[Attribute, ...]
    facts: tuple[str, ...]
    _program: Any

    def _result(self, instance: Mapping[str, Value], association: Mapping[str, str]) -> Any:
        """Return the library's answer. Raises EvaluationError, and ValueUnusable for a fact that cannot be read."""
        for name in self.facts:
            check_fact(name, association[name])
        data: dict[str, Any] = {f"association.{name}": association[name] for name in self.facts}
        data.update((f"instance.{a.keyword}", instance[a.keyword]) for a in self.attributes)
        try:
            return self._program.eval(data=data)
        except Exception as error:
            raise EvaluationError("the values cannot be compared") from error


class Expression(_Compiled):
    """An expression that answers true or false."""

    def evaluate(self, instance: Mapping[str, Value], association: Mapping[str, str]) -> bool:
        """Return the answer for these values; `instance` has one for each of `attributes`, `association` of `facts`.

        Raises EvaluationError, for example for a comparison with null or an index past the end of a list, and
        ValueUnusable for a fact that cannot be read as it came.
        """
        result = self._result(instance, association)
        if result.type() != cel.Type.BOOL:
            raise _no_answer(result)
        return bool(result.value())


class ValueExpression(_Compiled):
    """An expression that answers a text, a number, or a list of such."""

    def evaluate(self, instance: Mapping[str, Value], association: Mapping[str, str]) -> list[str | int | float]:
        """Return the values that it answers, none for an empty text, null and an empty list; otherwise as `Expression`.

        Raises EvaluationError, ValueUnusable.
        """
        result = self._result(instance, association)
        if result.type() not in (cel.Type.STRING, cel.Type.INT, cel.Type.DOUBLE, cel.Type.NULL, cel.Type.LIST):
            raise _no_answer(result)
        plain = result.plain_value()
        values = plain if isinstance(plain, list) else [plain]
        if not all(
            isinstance(one, str | int | float) and not isinstance(one, bool) for one in values if one is not None
        ):
            raise EvaluationError("a list with values other than texts and numbers")
        return [one for one in values if one is not None] if values not in ([""], [None]) else []


def _no_answer(result: Any) -> EvaluationError:
    # The library's message may quote a value, and values are patient data: only its kind goes further.
    return EvaluationError(
        next((kind for kind in _KINDS if kind in str(result.value())), "the expression has no result for these values")
    )


def compile_expression(text: str) -> Expression:
    """Return the compiled form of a CEL expression that answers true or false.

    Raises ExpressionError for syntax, unknown keywords, types that do not fit, and other answers.
    """
    kind, *compiled = _compile(text)
    if kind != cel.Type.BOOL:
        raise ExpressionError(f"the result of the expression is {kind.name()}, but it must be true or false")
    return Expression(*compiled)


def compile_value(text: str) -> ValueExpression:
    """Return the compiled form of a CEL expression that answers a text, a number, or a list of such.

    Raises ExpressionError for syntax, unknown keywords, types that do not fit, and other answers.
    """
    kind, *compiled = _compile(text)
    if kind.name() not in _VALUE_TYPES:
        raise ExpressionError(
            f"the result of the expression is {kind.name()}, but it must be a text, a number or a list of them"
        )
    return ValueExpression(*compiled)


def _compile(text: str) -> tuple[Any, str, tuple[Attribute, ...], tuple[str, ...], Any]:
    """Return the type of an expression's answer, and the parts of its compiled form. Raises ExpressionError."""
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise ExpressionError(
            f"an expression has at most {MAX_EXPRESSION_CHARACTERS} characters, but this one has {len(text)}"
        )
    try:
        checked = _environment(checked=True).compile(text)
        program = _environment(checked=False).compile(text)
    except RuntimeError as error:
        raise ExpressionError(explain(str(error))) from error
    named = _REFERENCE.findall(text)
    keywords = sorted({name for kind, name in named if kind == "instance"} & ATTRIBUTES.keys())
    facts = sorted({name for kind, name in named if kind == "association"} & set(ASSOCIATION_FACTS))
    return checked.return_type(), text, tuple(ATTRIBUTES[keyword] for keyword in keywords), tuple(facts), program


@cache
def _environment(*, checked: bool) -> Any:
    """Return the CEL environment in which each keyword is a variable of its own: a typo is an undeclared one.

    Evaluation leaves numbers untyped, because the library does not bind null to the checker's nullable types.
    """
    variables = {f"association.{fact}": cel.Type.STRING for fact in ASSOCIATION_FACTS}
    for attribute in ATTRIBUTES.values():
        one = _CHECKED[attribute.form] if checked or attribute.form is Form.TEXT else cel.Type.DYN
        variables[f"instance.{attribute.keyword}"] = cel.Type.List(one) if attribute.is_list else one
    return cel.NewEnv(variables=variables, extensions=[ExtStrings()])


def explain(message: str) -> str:
    """Return a sentence for a compiler message: the place, the mistake, and what to write."""
    if _STUDY.search(message):
        return (
            "study.* is known once the study is complete: write conditions over it into whenComplete of a rule with "
            "trigger: StudyComplete"
        )
    undeclared = _UNDECLARED.search(message)
    if undeclared:
        kind, name = undeclared.groups()
        if name is None:
            return f"write {kind} followed by a period and a name, such as instance.Modality"
        names = list(ATTRIBUTES) if kind == "instance" else list(ASSOCIATION_FACTS)
        if kind == "association":
            return f"association.{name} is unknown; there are {', '.join(names)}"
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean instance.{near[0]}?" if near else "use a keyword of the data dictionary (PS3.6)"
        return f"instance.{name} is not a DICOM keyword that rules can use (no sequences, no bulk data); {hint}"
    position = _POSITION.search(message)
    if not position:
        return _first_line(message)
    line, column, what = position.groups()
    if name := _NAME_ALONE.search(what):
        near = difflib.get_close_matches(name[1], ATTRIBUTES, n=1)
        hint = f": write instance.{near[0]}" if near else ": write instance. or association. before a name"
        return f"line {line}, column {column}: the name {name[1]} is unknown{hint}"
    if _SINGLE_EQUALS.search(what):
        return f"line {line}, column {column}: compare with ==, != or <"
    if compared := _NUMBER_AND_TEXT.search(what):
        number = "a number is compared with a text: write numbers without quotes, and texts in quotes"
        return f"line {line}, column {column}: {number} (in '{compared[1]}')"
    if "wrapper(double), int" in what or "int, wrapper(double)" in what:
        what += ": compare a decimal attribute with a decimal, such as 1.0"
    return f"line {line}, column {column}: {what}"


def _first_line(message: str) -> str:
    return message.splitlines()[0][:300] if message else "no reason given"
