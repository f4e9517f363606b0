"""Quantities of the Kubernetes API, such as 50Gi, as whole numbers of bytes."""

import re
from decimal import Decimal
from typing import Final

_QUANTITY: Final = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
_BINARY: Final = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
_DECIMAL: Final = ["", "k", "M", "G", "T", "P", "E"]

PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$"


def quantity_bytes(text: str) -> int:
    """Return the number of bytes that a quantity means, rounded down.

    Raises ValueError when the text is not a quantity of bytes.
    """
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity of bytes, such as 50Gi")
    number, suffix = Decimal(match[1]), match[2] or ""
    factor = 1024 ** _BINARY.index(suffix) if suffix in _BINARY else 1000 ** _DECIMAL.index(suffix)
    return int(number * factor)
