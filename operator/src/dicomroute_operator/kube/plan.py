"""Plans what is to be written: pure, from the objects as they are and as they should be.

    wanted / live     absent      as applied     changed by somebody     applied otherwise
    wanted            apply       -              apply                   apply
    not wanted        -           delete         delete                  delete

"As applied" is read from the annotation with the hash of what was applied, and from the wanted fields themselves: they
are all there with the wanted values, or with those that the API server answered when just that was applied: a webhook
may have changed them. Fields that others have added stay out of it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicomroute_operator.api.quantity import quantity_bytes

Object = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What to apply, in order, and what to delete."""

    apply: tuple[Object, ...]
    delete: tuple[Object, ...]


def plan(
    wanted: Iterable[Object],
    live: Sequence[Object],
    annotation: str,
    answered: Callable[[Object, Object], Object | None] = lambda _live, _wanted: None,
) -> Plan:
    """Return what has to be written. `annotation` is the name of the one with the hash.

    `answered` is asked for what the API server last made of an object that is wanted (`as_answered`), None: nothing.
    """
    by_key = {_key(one): one for one in live}
    marked = [with_hash(one, annotation) for one in wanted]
    kept = {_key(one) for one in marked}

    def is_settled(one: Object) -> bool:
        found = by_key.get(_key(one))
        if found is None or is_as_wanted(found, one):
            return found is not None
        answer = answered(found, one)
        return answer is not None and covers(found, answer)

    return Plan(
        apply=tuple(one for one in marked if not is_settled(one)),
        delete=tuple(one for key, one in by_key.items() if key not in kept),
    )


def with_hash(manifest: Object, annotation: str) -> Object:
    """Return the manifest with the hash of itself among its annotations."""
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), annotation: object_hash(manifest)}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def object_hash(document: Mapping[str, Any]) -> str:
    """Return the identity of a document: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def is_as_wanted(live: Object | None, wanted: Object) -> bool:
    """Whether an object exists and has everything that is wanted of it."""
    return live is not None and covers(live, wanted)


def as_answered(answer: Any, wanted: Any) -> Any:
    """Return the wanted fields of an object with the values that it has after it was applied."""
    if isinstance(wanted, Mapping) and isinstance(answer, Mapping):
        return {key: as_answered(answer.get(key), value) for key, value in wanted.items()}
    if _is_named(wanted) and isinstance(answer, list):
        found = {one["name"]: one for one in answer if isinstance(one, Mapping) and "name" in one}
        return [as_answered(found[one["name"]], one) for one in wanted if one["name"] in found]
    return answer


def covers(live: Any, wanted: Any) -> bool:
    """Whether every wanted field is there with its value; further fields and further named list items may be."""
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping):
            return not wanted and live is None  # the API server drops what is empty
        return all(covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        found = live or []
        if not isinstance(found, list):
            return False
        if _is_named(wanted):
            named = {one["name"]: one for one in found if isinstance(one, Mapping) and "name" in one}
            return all(covers(named.get(one["name"]), one) for one in wanted)
        return len(found) == len(wanted) and all(map(covers, found, wanted))
    return bool(live == wanted) or _same_quantity(live, wanted)


def _is_named(wanted: Any) -> bool:
    return (
        isinstance(wanted, list) and bool(wanted) and all(isinstance(one, Mapping) and "name" in one for one in wanted)
    )


def _same_quantity(live: Any, wanted: Any) -> bool:
    """Whether two amounts are the same: the API server writes 0.5 as 500m and 1024Mi as 1Gi."""
    if not isinstance(live, str | int) or not isinstance(wanted, str | int) or isinstance(live, bool):
        return False
    try:
        return amount(str(live)) == amount(str(wanted))
    except ValueError:
        return False


def amount(text: str) -> float:
    """Return a quantity's value. Raises ValueError for what is none."""
    if text.endswith("m"):
        return float(text[:-1]) / 1000
    try:
        return float(text)
    except ValueError:
        return float(quantity_bytes(text))


def _key(manifest: Object) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]
