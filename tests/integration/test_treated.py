"""What a destination was promised in another form is sent in that form, at every attempt, and never as it came."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from delivering import Start
from origin_server import OriginServer, Reply

from dicomroute_gateway.configuration.recipe import Recipe, Transcode
from dicomroute_gateway.spool.records import DeliveryState

IMPLICIT = "1.2.840.10008.1.2"
IMPLICIT_CT = b"\x08\0\x60\0\2\0\0\0CT" + b"\xe0\x7f\x10\0\4\0\0\0" + b"\1\2\3\4"
EXPLICIT_CT = b"\x08\0\x60\0CS\2\0CT" + b"\xe0\x7f\x10\0OW\0\0\4\0\0\0" + b"\1\2\3\4"
AS_IMPLICIT = Recipe((Transcode(transfer_syntax_uid=IMPLICIT),))
CUT_OFF = b"\x08\0\x60\0CS\x20\0CT"


@pytest.fixture
def server() -> Iterator[OriginServer]:
    one = OriginServer(root="/v2")
    yield one
    one.close()


def test_the_recipe_is_carried_out_once_and_sent_at_every_attempt_and_after_a_restart(
    server: OriginServer, start: Start, tmp_path: Path
) -> None:
    gateway = start()
    received = gateway.receive(EXPLICIT_CT, recipe=AS_IMPLICIT)
    plain = gateway.receive(EXPLICIT_CT)
    sent: list[bytes] = []

    def busy(_: OriginServer, files: list[bytes]) -> Reply:
        sent.extend(files)
        return Reply(503)

    server.always = busy
    gateway.run(lambda: len(sent) >= 4)
    (derived,) = (tmp_path / "spool" / "derived").iterdir()
    assert derived.name == f"{received.id:012d}-{AS_IMPLICIT.id}.dcm"
    made = derived.stat().st_ino
    gateway.close()
    again = start()
    again.run(lambda: len(sent) >= 6)
    assert derived.stat().st_ino == made
    assert len(set(sent)) == 2
    server.always = None
    again.run(lambda: again.is_settled() and not derived.exists())
    assert server.has(received.sop_instance_uid, IMPLICIT_CT)
    assert server.has(plain.sop_instance_uid, EXPLICIT_CT)


def test_without_its_recipe_nothing_of_it_is_sent_and_the_others_are(
    server: OriginServer, start: Start, tmp_path: Path
) -> None:
    gateway = start()
    treated = gateway.receive(EXPLICIT_CT, recipe=AS_IMPLICIT)
    gateway.close()
    recipe = tmp_path / "spool" / "recipes" / f"{AS_IMPLICIT.id}.json"
    kept = recipe.read_bytes()
    recipe.unlink()
    again = start()
    others = [again.receive(EXPLICIT_CT) for _ in range(3)]

    def said() -> bool:
        delivery = again.delivery(treated)
        passed = all(again.delivery(one) is None for one in others)
        return passed and delivery is not None and delivery.reason == "RecipeMissing"

    again.run(said)
    assert treated.sop_instance_uid not in server.files
    error = again.worker.last_error
    assert error is not None
    assert f"recipes/{recipe.name}" in error.message
    recipe.write_bytes(kept)
    again.run(again.is_settled)
    assert server.has(treated.sop_instance_uid, IMPLICIT_CT)


def test_what_the_recipe_cannot_treat_is_dead_lettered_and_never_sent(server: OriginServer, start: Start) -> None:
    gateway = start()
    broken = gateway.receive(CUT_OFF, recipe=AS_IMPLICIT)
    good = [gateway.receive(EXPLICIT_CT, recipe=AS_IMPLICIT) for _ in range(2)]

    def done() -> bool:
        delivery = gateway.delivery(broken)
        return delivery is not None and delivery.state is DeliveryState.DEAD_LETTERED and gateway.is_settled()

    gateway.run(lambda: all(gateway.delivery(one) is None for one in good) and done())
    delivery = gateway.delivery(broken)
    assert delivery is not None
    assert delivery.reason == "TranscodingFailed"
    assert broken.sop_instance_uid not in server.files
    assert all(server.has(one.sop_instance_uid, IMPLICIT_CT) for one in good)
