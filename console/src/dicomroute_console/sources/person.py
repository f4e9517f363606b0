"""Who asks. Pure."""

from dataclasses import dataclass, field


class NotKnown(Exception):
    """The credential is none, or none any more: the person signs in again."""


@dataclass(frozen=True)
class Person:
    """Who asks. `token` is that of Kubernetes, "" without a cluster; `namespaces` are looked into by name.

    A person who may list routes in all namespaces needs to name none. Of a person whom an issuer or the file of local
    users vouches for (`is_vouched`) RBAC is asked by name and `groups`.
    """

    name: str
    token: str = field(default="", repr=False)
    namespaces: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    is_vouched: bool = False
    mark: str = field(default="", repr=False)
    """Of a local user: what his line in the file has to be still."""
