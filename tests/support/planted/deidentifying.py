"""De-identifies instances of the corpus, as `dicomroute deidentify` does files."""

import io
from functools import cache

from dicomroute_gateway.configuration.profile import ObjectAction, ObjectRule, Profile, Region
from dicomroute_gateway.prepare.decoders import Decoders
from dicomroute_gateway.prepare.deidentify.instance import deidentify
from dicomroute_gateway.prepare.deidentify.plan import Plan, resolve
from dicomroute_gateway.spool.part10 import file_head, meta_length
from planted.corpus import SHOWN, STORAGE, Instance

KEY = bytes(range(32))
MASKS = ObjectRule(
    name="text",
    sop_class_uids=[STORAGE + one for one in SHOWN],
    action=ObjectAction.MASK,
    regions=[Region(left=0, top=0, width=20, height=1)],
)


@cache
def plan_of(options: tuple[str, ...] = (), key: bytes = KEY) -> Plan:
    tokens = ["ct", "head", "contrast"]
    profile = Profile(
        namespace="default",
        name="research",
        edition="2026c",
        options=list(options),
        objects=[MASKS],
        allowed_tokens=tokens,
    )
    return resolve(profile, key)


@cache
def decoders() -> Decoders:
    return Decoders()


def made_of(content: bytes, plan: Plan) -> bytes:
    """Return the file that is made of a file. Raises Withheld."""
    at = meta_length(content)
    assert at is not None
    syntax = _syntax(content)
    made = deidentify(lambda: io.BufferedReader(io.BytesIO(content[at:])), len(content) - at, syntax, plan, decoders())
    return file_head(made.sop_class_uid, made.sop_instance_uid, made.transfer_syntax_uid) + b"".join(made.pieces)


def _syntax(content: bytes) -> str:
    at = content.index(b"\2\0\x10\0UI")
    size = int.from_bytes(content[at + 6 : at + 8], "little")
    return content[at + 8 : at + 8 + size].rstrip(b"\0").decode()


def result_of(instance: Instance, options: tuple[str, ...] = ()) -> bytes:
    return made_of(instance.content, plan_of(options))
