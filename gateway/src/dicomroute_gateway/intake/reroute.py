"""Gives held instances what today's rules say of them."""

from collections.abc import Callable, Iterable, Iterator

from dicomroute_gateway.configuration.holds import RULE_HELD, TREATMENT_NOT_IN_FORCE
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.rules.active import Active
from dicomroute_gateway.rules.decide import Decision, decide
from dicomroute_gateway.rules.head import HeadError
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.records import DeliveryRecord, DeliveryState, Received
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


class TreatmentNotInForce(Exception):
    """The rules in force treat what a destination gets, and do not say how this instance is: nobody may guess it."""


def treatment_in_force(spool: Spool, active: Active, received: Received, delivery: DeliveryRecord) -> str:
    """Return the id of the recipe by which a delivery is prepared now, "" for none; it is in the spool by then.

    A destination that no rule treats gets what was promised. Of one that some rule treats, the rules in force are
    asked: they replace a treatment by another one, and never by none. What came before it had one has it from now on.

    Raises TreatmentNotInForce where they treat the destination and do not name it for this instance, unless what was
    promised is one of their treatments; ReleaseError, SpoolFailed, OSError.
    """
    name, promised = delivery.destination, delivery.recipe
    wanted = active.recipes_for.get(name, frozenset())
    if not wanted or wanted == {promised}:
        return promised
    routing = route_again(spool, active, received).routing
    if (recipe := routing.recipes.get(name)) is not None:
        spool.keep_recipes([recipe])
        return recipe.id
    is_named = name in routing.destinations
    if is_named or (promised and promised in wanted and not (routing.conflicts or routing.error)):
        return promised
    raise TreatmentNotInForce


def is_held_by_rules(spool: Spool, active: Active, received: Received, destination: Destination) -> bool:
    """Return whether every rule in force that names a destination for an instance holds its deliveries.

    What cannot be read again is held by no rule: preparing it says why. Raises OSError.
    """
    rules = active.configuration.rules
    if destination not in rules.partly_held:
        return destination in rules.held
    try:
        return destination in route_again(spool, active, received).routing.held
    except ReleaseError:
        return False


def treat_again(spool: Spool, active: Active, is_ending: Callable[[], bool] = lambda: False) -> int:
    """Let what waits be prepared, and held, as the rules in force say; return how many deliveries that changed.

    Where they have no treatment for it, the one that was promised stays. What rules have held and hold no more is to be
    made. Once `is_ending` nothing more is looked at. Raises SpoolFailed, OSError.
    """

    def is_meant(delivery: DeliveryRecord) -> bool:
        is_treated = delivery.destination in active.recipes_for
        is_waiting = is_treated or _is_not_in_force(delivery) or _is_held_by_rule(delivery)
        return delivery.state is not DeliveryState.DELIVERED and is_waiting

    waiting = spool.entries(lambda entry: any(map(is_meant, entry.deliveries.values())))

    def treatments() -> Iterator[Treatment]:
        for entry in waiting:
            for delivery in filter(is_meant, entry.deliveries.values()):
                if is_ending():
                    return
                try:
                    if _is_held_by_rule(delivery):
                        if not is_held_by_rules(spool, active, entry.received, delivery.destination):
                            yield Treatment(entry.received.id, delivery.destination, delivery.recipe)
                        continue
                    recipe = treatment_in_force(spool, active, entry.received, delivery)
                except (ReleaseError, TreatmentNotInForce, OSError):
                    continue  # its own delivery says so
                if recipe != delivery.recipe or _is_not_in_force(delivery):
                    yield Treatment(entry.received.id, delivery.destination, recipe)

    return sum(spool.decisions.treat(treatments()))


def _is_not_in_force(delivery: DeliveryRecord) -> bool:
    return delivery.state is DeliveryState.HELD and delivery.reason == TREATMENT_NOT_IN_FORCE


def _is_held_by_rule(delivery: DeliveryRecord) -> bool:
    return delivery.state is DeliveryState.HELD and delivery.reason == RULE_HELD


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
            spool.studies.keep_plans(decision.routing.waits.values())
            stays.append(f"instance {one.id} stays held: no rule matches, or a rule has an error" if hold else "")
            yield Rerouting(
                one.id,
                decision.routing.destinations,
                hold,
                {name: recipe.id for name, recipe in recipes.items()},
                {name: plan.id for name, plan in decision.routing.waits.items()},
            )

    spool.decisions.reroute(reroutings(), by)
    return stays
