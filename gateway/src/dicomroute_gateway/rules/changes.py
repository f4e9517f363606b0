"""What a transform changes, compiled: paths parsed, expressions with their types. Pure."""

from dataclasses import dataclass
from functools import lru_cache

from dicomroute_gateway.configuration.recipe import Change, ChangeKind, Step, Transform

from .attributes import Attribute
from .expression import ExpressionError, ValueExpression, compile_value
from .paths import AttributePath, PathError, check_changeable, check_writable, parse_path


@dataclass(frozen=True, slots=True)
class CompiledChange:
    """One change; `value` for all but one that removes."""

    kind: ChangeKind
    path: AttributePath
    record: bool
    value: ValueExpression | None = None


@dataclass(frozen=True, slots=True)
class CompiledTransform:
    """The changes of a transform, in their order."""

    changes: tuple[CompiledChange, ...]

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """The attributes that its expressions speak of."""
        return tuple({a.tag: a for one in self.changes if one.value for a in one.value.attributes}.values())


@lru_cache(64)
def compile_transform(transform: Transform) -> CompiledTransform:
    """Return the compiled form of a transform.

    Raises ExpressionError, which names the change.
    """
    return CompiledTransform(tuple(_compiled(change) for change in transform.changes))


def check_step(step: Step) -> None:
    """Raise ExpressionError for a step that cannot be carried out."""
    if isinstance(step, Transform):
        compile_transform(step)


def _compiled(change: Change) -> CompiledChange:
    where = f"{change.kind.lower()} {change.attribute}"
    try:
        path = parse_path(change.attribute, change.vr)
        (check_changeable if change.kind is ChangeKind.REMOVE else check_writable)(path)
        if change.kind is ChangeKind.REMOVE:
            return CompiledChange(change.kind, path, change.record)
        value = f"instance.{change.source}" if change.kind is ChangeKind.COPY else change.value
        return CompiledChange(change.kind, path, change.record, compile_value(value))
    except (PathError, ExpressionError) as error:
        raise ExpressionError(f"{where}: {error}") from error
