"""Evaluates the CEL rules of a CRD on this machine: the same text that the API server evaluates.

Rules over `oldSelf` are left out, as there is no older object. The functions that Kubernetes adds to CEL are
provided as far as the CRDs use them.
"""

import re
from collections.abc import Iterator
from functools import cache
from ipaddress import IPv6Network, ip_address, ip_interface, ip_network
from typing import Any

from cel_expr_python import cel

from dicomroute_operator.api.quantity import quantity_bytes

from .schema import path_of

Json = dict[str, Any]

_QUANTITY = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")


def rule_errors(document: Json, schema: Json) -> Iterator[tuple[str, str]]:
    """Yield the field and the message of every rule of `schema` that `document`, with defaults, breaks."""
    yield from _walk(document, document, schema, [])


def _walk(document: Json, value: Any, schema: Json, steps: list[Any]) -> Iterator[tuple[str, str]]:
    for validation in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in validation["rule"]:
            continue
        if not _holds(validation["rule"], value):
            yield path_of(document, steps), validation["message"]
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from _walk(document, value[name], inner, [*steps, name])
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(document, item, schema.get("items", {}), [*steps, index])


def _holds(rule: str, value: Any) -> bool:
    result = _compiled(rule).eval(data={"self": value})
    if result.type() != cel.Type.BOOL:
        raise RuntimeError(f"the rule {rule!r} cannot be evaluated: {result.value()}")
    return bool(result.value())


@cache
def _compiled(rule: str) -> Any:
    return _environment().compile(rule)


@cache
def _environment() -> Any:
    """Return CEL with the functions of Kubernetes' libraries that the CRDs use (IP, CIDR and Quantity, 1.31)."""
    string, number, boolean, integer = cel.Type.STRING, cel.Type.DOUBLE, cel.Type.BOOL, cel.Type.INT

    def function(name: str, member: bool, parameters: list[Any], result: Any, implementation: Any) -> Any:
        overload = cel.Overload(f"{name}_local", result, parameters, member, implementation)
        return cel.FunctionDecl(name, [overload])

    return cel.NewEnv(
        variables={"self": cel.Type.DYN},
        functions=[
            function("isIP", False, [string], boolean, _is_ip),
            function("isCIDR", False, [string], boolean, _is_cidr),
            function("cidr", False, [string], string, lambda text: str(ip_interface(text))),
            function("masked", True, [string], string, lambda text: str(ip_interface(text).network)),
            function("quantity", False, [string], number, lambda text: float(quantity_bytes(text))),
            function("isQuantity", False, [string], boolean, _is_quantity),
            function("compareTo", True, [number, number], integer, lambda one, other: (one > other) - (one < other)),
        ],
    )


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_quantity(text: str) -> bool:
    return bool(_QUANTITY.fullmatch(text))


def _is_cidr(text: str) -> bool:
    address, _, prefix = text.partition("/")
    if not (prefix.isascii() and prefix.isdecimal()) or str(int(prefix)) != prefix or "%" in address:
        return False
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return False
    return not (isinstance(network, IPv6Network) and network.network_address.ipv4_mapped)
