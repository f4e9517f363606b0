"""A small CT image with a name in it, and the recipe by which research gets it."""

from planted.encoding import EXPLICIT, Element, data_set

from dicomroute_gateway.configuration.profile import Option, Profile
from dicomroute_gateway.configuration.recipe import Deidentify, Recipe

KEY = bytes(range(32))
RESEARCH = Profile(namespace="n", name="research", edition="2026c", options=[Option.RETAIN_MODIFIED_DATES])


def step(profile: Profile = RESEARCH) -> Recipe:
    """Return the recipe of a profile alone."""
    return Recipe((Deidentify(profile=profile, key_file="research/key"),))


def ct(number: int, *more: Element) -> bytes:
    """Return the data set of instance 1.2.3.NUMBER."""
    elements: list[Element] = [
        (0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2"),
        (0x00080018, "UI", f"1.2.3.{number}".encode()),
        (0x00100010, "PN", b"Qzxmiller^Ann"),
        (0x00100020, "LO", b"PID1234"),
        (0x0020000D, "UI", b"1.2.3.4"),
        (0x0020000E, "UI", b"1.2.3.5"),
        (0x7FE00010, "OW", bytes(64)),
    ]
    return data_set([*elements, *more], EXPLICIT)
