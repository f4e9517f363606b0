"""Gives held instances what today's rules say of them."""

from collections.abc import Callable, Iterable, Iterator

from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.rules.decide import Decision, decide
from dicomroute_gateway.rules.head import HeadError
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.records import Received
from dicomroute_gateway.spool.spool import Spool
from dicomroute_gateway.spool.views import Rerouting, Treatment


class ReleaseError(Exception):
    """An instance cannot be released; the message says why."""


def route_again(spool: Spool, active: Active, received: Received) -> Decision:
    """Return what the rules in force say of an instance in the spool.

    Raises ReleaseError when its file cannot be read.
    """
    head_bytes = received.content_length - received.length
    try:
        with spool.stored(received).open() as content:
            return decide(
                lambda offset, length: content.read_at(head_bytes + offset, length),
                received.transfer_syntax_uid,
                received.sender.facts,
                active.rules,
            )
    except (HeadError, Unreadable) as error:
        raise ReleaseError(f"instance {received.id}: {error}") from error


def treat_again(spool: Spool, active: Active, is_ending: Callable[[], bool] = lambda: False) -> int:
    """Let what waits with a treatment be prepared as the rules in force say; return how many deliveries that changed.

    Where they have none for it, the treatment that was promised stays. Once `is_ending` nothing more is looked at.
    Raises SpoolFailed, OSError.
    """
    waiting = spool.entries(lambda entry: any(one.recipe for one in entry.deliveries.values()))

    def treatments() -> Iterator[Treatment]:
        for entry in waiting:
            if is_ending():
                return
            try:
                recipes = route_again(spool, active, entry.received).routing.recipes
            except (ReleaseError, OSError):
                continue  # its own delivery says that it cannot be read
            spool.keep_recipes(recipes.values())
            for name, delivery in entry.deliveries.items():
                if name in recipes and delivery.recipe not in ("", recipes[name].id):
                    yield Treatment(entry.received.id, name, recipes[name].id)

    return sum(spool.decisions.treat(treatments()))


def release(spool: Spool, active: Active, held: Iterable[Received], by: str = "") -> list[str]:
    """Give held instances the destinations of the rules in force; return of each why it stays held, or "".

    An instance that no rule takes stays held, and one whose file cannot be read. Raises SpoolFailed.
    """
    stays = list[str]()

    def reroutings() -> Iterator[Rerouting]:
        for one in held:
            try:
                decision = route_again(spool, active, one)
            except ReleaseError as error:
                stays.append(str(error))
                continue
            hold, recipes = decision.hold, decision.routing.recipes
            spool.keep_recipes(recipes.values())
            stays.append(f"instance {one.id} stays held: no rule matches, or a rule has an error" if hold else "")
            yield Rerouting(
                one.id,
                decision.routing.destinations,
                hold,
                {name: recipe.id for name, recipe in recipes.items()},
            )

    spool.decisions.reroute(reroutings(), by)
    return stays
