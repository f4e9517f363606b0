"""What a recipe would make of an instance, attribute by attribute: for somebody who writes a rule."""

import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, cast

from dicomroute_gateway.configuration.recipe import Deidentify, Recipe, Transcode, Transform
from dicomroute_gateway.prepare.decoders import Decoders
from dicomroute_gateway.prepare.deidentifiers import Deidentifiers, Made
from dicomroute_gateway.prepare.deidentify.pseudonyms import LEAST_KEY_BYTES
from dicomroute_gateway.prepare.deidentify.withheld import Withheld
from dicomroute_gateway.prepare.elements import EXPLICIT, IMPLICIT
from dicomroute_gateway.prepare.failures import TranscodingFailed, TreatmentFailed
from dicomroute_gateway.prepare.keyed import Keyed
from dicomroute_gateway.prepare.transcode import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transcode,
)
from dicomroute_gateway.prepare.transform import Came, Source, transform
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.rules.changes import compile_transform
from dicomroute_gateway.rules.head import RawElement

from .comparison import Place, compared, elements_of
from .instance import InstanceFile

_IN_MEMORY_BYTES: Final = 64 << 20
_EXAMPLE_KEY: Final = bytes(LEAST_KEY_BYTES)
"""Never the profile's: whoever may explain could otherwise ask for the pseudonym of any patient."""

Words = Callable[[str], bytes | None]
"""Returns the content of a mounted file by its name, None where it is missing."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What a recipe changes: each attribute with its values before and after, and regions of pixels that it blackens.

    With `profile` the instance is de-identified; its new UIDs, pseudonyms and dates are examples then.
    """

    changes: list[dict[str, Any]]
    masked: list[dict[str, int]] = field(default_factory=list)
    profile: str = ""


def differences(instance: InstanceFile, recipe: Recipe, came: Came, words: Words) -> Differences | str:
    """Return what a recipe changes; a sentence where it cannot. `words` has the ConfigMaps that profiles name.

    Pixels are not compared.
    """
    made = _Form(_copy(_blocks(instance)), instance.transfer_syntax_uid)
    try:
        if made.syntax in (EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN):
            made = _Form(
                _copy(transcode(made.file, made.length, made.syntax, EXPLICIT_VR_LITTLE_ENDIAN)),
                EXPLICIT_VR_LITTLE_ENDIAN,
            )
        before, masked, profile = made, list[dict[str, int]](), ""
        for step in recipe.steps:
            match step:
                case Transform():
                    source = Source(made.syntax, made.length, made.begin, made.read)
                    made = _Form(_copy(transform(source, compile_transform(step), came)), made.syntax)
                case Transcode():
                    pass  # no value changes
                case Deidentify():
                    made, masked = _deidentified(made, step, words)
                    profile = step.profile.name
        return Differences(list(compared(before.elements(), made.elements())), masked, profile)
    except Withheld as error:
        return f"{error.reason}: {error}"
    except (TranscodingFailed, TreatmentFailed) as error:
        return str(error)


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of the instance: the file of its data set alone, and its transfer syntax."""

    file: BinaryIO
    syntax: str

    @property
    def length(self) -> int:
        at = self.file.tell()
        length = self.file.seek(0, io.SEEK_END)
        self.file.seek(at)
        return length

    def begin(self) -> BinaryIO:
        self.file.seek(0)
        return self.file

    def read(self, offset: int, length: int) -> bytes:
        self.file.seek(offset, os.SEEK_SET)
        return self.file.read(length)

    def elements(self) -> dict[Place, RawElement]:
        return elements_of(
            self.begin(), self.length, IMPLICIT if self.syntax == IMPLICIT_VR_LITTLE_ENDIAN else EXPLICIT
        )


def _deidentified(form: _Form, step: Deidentify, words: Words) -> tuple[_Form, list[dict[str, int]]]:
    """Return what a profile makes of it, in a process of its own as a gateway does; and what is blackened.

    Raises Withheld, TreatmentFailed.
    """
    if not step.key_file:
        raise _missing(f"profile {step.profile.name} does not exist: create it")
    tokens = words(step.allowed_tokens_file) if step.allowed_tokens_file else b""
    if tokens is None:
        raise _missing(f"{step.allowed_tokens_file} is missing: create the ConfigMap with this key")
    profile = step.profile.model_copy(update={"allowed_tokens": tokens.decode("utf-8", "replace").split()})
    head: list[Made] = []

    def begin(made: Made) -> bytes:
        head.append(made)
        return b""

    with ExitStack() as ending:
        ending.callback((decoders := Decoders()).end_idle)
        ending.callback((pool := Deidentifiers(decoders)).end_idle)
        file = _copy(pool.file(form.read, form.length, form.syntax, Keyed(profile, (_EXAMPLE_KEY,)).form(), begin))
    return _Form(file, head[0].transfer_syntax_uid), [one.model_dump() for one in head[0].masked]


def _missing(sentence: str) -> TreatmentFailed:
    return TreatmentFailed(Reason.TREATMENT_KEY_MISSING, sentence)


def _blocks(instance: InstanceFile) -> Iterator[bytes]:
    offset = 0
    while block := instance.read(offset, 1 << 20):
        yield block
        offset += len(block)


def _copy(blocks: Iterable[bytes]) -> BinaryIO:
    """Return a file of its own with these bytes, in memory while it is small."""
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115
    for block in blocks:
        file.write(block)
    file.seek(0)
    return file
