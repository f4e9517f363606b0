"""Fuzzes the engine of de-identification: `make fuzz`, for MINUTES.

    python tests/fuzz/deidentify.py [--minutes 60] [--inputs N] [--seed N] [--keep FOLDER] [FILE]

Takes instances of the planted corpus and pydicom's test files, damages them at random, and de-identifies what is left.
Whatever comes in, one of two things happens: it is withheld with a reason, or what comes out holds these promises:

- it is a data set to its last byte, and says that it is de-identified;
- every name of a person in it is a pseudonym, a dummy or empty, at every depth;
- every UID of an instance, a study or whatever else the table gives a new UID is such a one, or of the standard;
- it has no private element, and no overlay, curve or group length;
- the same input gives the same bytes again, and takes no longer than ten seconds of a processor.

An input that breaks one is kept in FOLDER and named; FILE is such an input, to be tried again alone.
"""

import argparse
import io
import random
import re
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from corpus import FILES
from planted.corpus import Planter
from planted.deidentifying import decoders, plan_of

from dicomroute_gateway.prepare.deidentify.instance import deidentify
from dicomroute_gateway.prepare.deidentify.values import VRS
from dicomroute_gateway.prepare.deidentify.withheld import Withheld
from dicomroute_gateway.prepare.elements import EXPLICIT, ITEM_END, SEQUENCE_END, UNDEFINED, Elements
from dicomroute_gateway.spool.part10 import file_meta

SECONDS_AN_INSTANCE: Final = 10
MEMORY_BYTES: Final = 3 << 30
MOST_SEED_BYTES: Final = 1 << 20
_NAMES: Final = re.compile(rb"(ANONYMIZED|[A-Z2-7]{16})?[ \0]*")
_UIDS: Final = re.compile(rb"((1\.2\.840\.10008\.[0-9.]+|2\.25\.[0-9]+)?[\\ \0]*)*")
_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5")
_PIXELS: Final = 0x7FE00000
_INTERESTING: Final = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0",
    b"\x10\0\x10\0PN",
)
_VRS: Final = tuple(one.encode() for one in sorted(VRS))


class Broken(Exception):
    """A promise does not hold; the message says which."""


def mutated(content: bytes, at: int, other: bytes, chance: random.Random) -> bytes:
    """Return a file whose data set, which begins at `at`, is damaged in one to four ways."""
    data = bytearray(content[at:])
    for _ in range(min(chance.randint(1, 4), chance.randint(1, 4))):
        where = chance.randrange(len(data)) if data else 0
        match chance.randrange(9):
            case 0:
                data[where : where + 1] = bytes([chance.randrange(256)])
            case 1:
                data[where : where + 4] = chance.choice(_INTERESTING)
            case 2:
                del data[where : where + chance.randint(1, 64)]
            case 3:
                piece = data[where : where + chance.randint(1, 256)]
                data[where:where] = piece
            case 4:
                begin = chance.randrange(len(other))
                data[where:where] = other[begin : begin + chance.randint(8, 512)]
            case 5:
                del data[where:]
            case 6:  # another VR where one stands, or what looks like one
                if found := [one.start() for one in re.finditer(rb"[A-Z]{2}", bytes(data[where : where + 4096]))]:
                    place = where + chance.choice(found)
                    data[place : place + 2] = chance.choice(_VRS)
            case 7:  # another length
                data[where : where + 2] = chance.choice((b"\0\0", b"\xff\xff", b"\1\0", b"\x7f\0", b"\2\0"))
            case 8:
                data[where : where + 1] = bytes([data[where] ^ (1 << chance.randrange(8))]) if data else b""
    return content[:at] + bytes(data)


def tried(content: bytes, syntax: str, at: int) -> str:
    """De-identify twice; return how that ended. Raises Broken, and what it should never raise."""
    data, plan = content[at:], plan_of()

    def once() -> tuple[str, bytes]:
        made = deidentify(lambda: io.BufferedReader(io.BytesIO(data)), len(data), syntax, plan, decoders())
        return made.transfer_syntax_uid, b"".join(made.pieces)

    try:
        out_syntax, first = once()
    except Withheld as withheld:
        return str(withheld.reason)
    except MemoryError:
        return "MemoryError"  # which the process that de-identifies answers with TakesTooMuch
    if once() != (out_syntax, first):
        raise Broken("the same input gives other bytes")
    kept_promises(first)
    return "released"


def kept_promises(data: bytes) -> None:
    """Raise Broken unless a data set is de-identified, as far as one can see without knowing what it was."""
    elements, says = Elements(io.BytesIO(data), len(data), EXPLICIT), False
    replaced = {tag for tag, entry in plan_of().entries.items() if "U" in entry.letters.split("/")}
    while (header := elements.header()) is not None:
        tag, vr, size = header
        if tag in (ITEM_END, SEQUENCE_END):
            continue
        group, element = tag >> 16, tag & 0xFFFF
        name = f"({group:04X},{element:04X})"
        if elements.is_top and tag >= _PIXELS:
            elements.skip_fragments() if size == UNDEFINED else elements.discard(size)
            continue
        if group != 0xFFFE:
            if vr not in VRS:
                raise Broken(f"{name} has VR {vr!r}")
            if group & 1 or element == 0 or 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF:
                raise Broken(f"{name} is left")
        if elements.enter(tag, vr, size):
            continue
        value = elements.value(size)
        if vr == "PN" and not _NAMES.fullmatch(value):
            raise Broken(f"{name} has a name")
        if tag in replaced and vr == "UI" and not _UIDS.fullmatch(value):
            raise Broken(f"{name} has a UID of the original")
        says = says or (tag == 0x00120062 and value == b"YES ")
    if not says:
        raise Broken("it does not say that it is de-identified")


def seeds() -> list[tuple[bytes, str, int]]:
    """Return files, their transfer syntax, and where their data set begins."""
    files = [one.content for one in Planter().corpus(1)]
    files += [one.read_bytes() for one in sorted(FILES.glob("*.dcm")) if one.stat().st_size <= MOST_SEED_BYTES]
    found = []
    for content in files:
        meta = file_meta(content)
        if meta is not None and meta.transfer_syntax_uid and len(content) > meta.length_before:
            found.append((content, meta.transfer_syntax_uid, meta.length_before))
    return found


def guarded(work: Callable[[], str]) -> str:
    """Do it within its time of the processor: others may use the machine too."""

    def late(*_: object) -> None:
        raise Broken(f"it takes longer than {SECONDS_AN_INSTANCE} s")

    signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS_AN_INSTANCE)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="end after so many, if that is earlier")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where inputs that break something go")
    options = parser.parse_args(words)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    if options.file is not None:
        content = options.file.read_bytes()
        meta = file_meta(content)
        assert meta is not None, "it has no File Meta Information"
        print(guarded(lambda: tried(content, meta.transfer_syntax_uid, meta.length_before)))
        return 0
    seed = options.seed if options.seed is not None else time.time_ns() % (1 << 32)
    chance, sources = random.Random(seed), seeds()
    print(f"seed {seed}, {len(sources)} files", flush=True)
    outcomes, broken, ends, told = Counter[str](), 0, time.monotonic() + options.minutes * 60, 0.0
    while time.monotonic() < ends and outcomes.total() + broken < options.inputs:
        content, syntax, at = chance.choice(sources)
        if chance.random() < 0.1:
            syntax = chance.choice(_SYNTAXES)  # not the one that it is in
        other = chance.choice(sources)[0]
        damaged = mutated(content, at, other, chance)
        try:
            outcomes[guarded(lambda: tried(damaged, syntax, at))] += 1  # noqa: B023
        except Exception as error:  # whatever it is, it is what is looked for
            broken += 1
            options.keep.mkdir(parents=True, exist_ok=True)
            file = options.keep / f"{seed}-{outcomes.total()}-{broken}.dcm"
            file.write_bytes(damaged)
            print(f"{file} in {syntax}: {type(error).__name__}: {error}", flush=True)
        if time.monotonic() > told + 60:
            told = time.monotonic()
            print(f"{outcomes.total()} inputs, {broken} broken: {dict(outcomes.most_common())}", flush=True)
    print(f"{outcomes.total()} inputs, {broken} broken: {dict(outcomes.most_common())}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
