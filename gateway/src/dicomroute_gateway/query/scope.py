"""What the identifier of a retrieval names (PS3.4 C.4.2.2 and C.4.3.2). Pure."""

from dicomroute_gateway.catalogue.keys import UNIQUE_KEYS
from dicomroute_gateway.decoded import Level

from .archive import Scope
from .identifier import Identifier, IdentifierInvalid
from .models import Model, keyword_of, levels_above

_BELOW = list(Level)


def scope_of(model: Model, level: Level, identifier: Identifier, *, is_relational: bool) -> Scope:
    """Return what is to be retrieved.

    The unique key of the level has a value or a list, that of a patient one value; each level above is named, unless
    the retrieval is relational. A list above the level is taken as what it says. Raises IdentifierInvalid.
    """
    named: dict[Level, tuple[str, ...]] = {}
    above = levels_above(model, level)
    for one in (*above, level):
        tag = UNIQUE_KEYS[one]
        element = identifier.keys.get(tag)
        values = tuple(dict.fromkeys(value for value in element.values if value)) if element is not None else ()
        if not values and (one is level or not is_relational):
            raise IdentifierInvalid(f"{keyword_of(tag)} is missing or empty")
        if any(wild in value for value in values for wild in "*?"):
            raise IdentifierInvalid(f"{keyword_of(tag)} has wild cards: a retrieval allows none")
        if one is Level.PATIENT and len(values) > 1:
            raise IdentifierInvalid(f"{keyword_of(tag)} has several values")
        named[one] = values
    for one in _BELOW[_BELOW.index(level) + 1 :]:
        element = identifier.keys.get(UNIQUE_KEYS[one])
        if element is not None and not element.is_empty:
            raise IdentifierInvalid(f"{keyword_of(UNIQUE_KEYS[one])} is below the level of the retrieval")
    patient = named.get(Level.PATIENT, ())
    return Scope(
        level,
        patient[0] if patient else "",
        named.get(Level.STUDY, ()),
        named.get(Level.SERIES, ()),
        named.get(Level.IMAGE, ()),
    )
