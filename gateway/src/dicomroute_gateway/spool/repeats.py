"""What is written down of an instance that comes again: records, of how it and its copies stand. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dicomroute_gateway.configuration.holds import ROUTING_HOLDS
from dicomroute_gateway.destination import Destination
from dicomroute_gateway.reasons import Reason

from .deliveries import over_quota
from .entries import Entry
from .records import AgainRecord, DeliveryRecord, DeliveryState, HoldRecord, Received, Record

REPLACED: Final = Reason.REPLACED
"""Reason of a delivery that was given up because the spool cannot read it, and the same bytes came again."""


def repeat_records(entry: Entry, received: Received, again: Sequence[Destination]) -> list[Record]:
    """Return what is written down of an instance that came again: owed to `again`, and held as the rules of now say.

    A hold that no rule set is not for a sender to end.
    """
    identifier, records = entry.received.id, list[Record]()
    if again:
        recipes = {one: received.recipes[one] for one in again if one in received.recipes}
        waits = {one: received.waits[one] for one in again if one in received.waits}
        is_tracked = received.modality is not None and bool(received.study_instance_uid)
        time = received.time if is_tracked else 0.0
        open_seconds = received.open_seconds if is_tracked else 0
        records.append(AgainRecord(identifier, tuple(again), recipes, waits, is_tracked, time, open_seconds))
    records += (over_quota(received, one, identifier) for one in received.skipped if one not in entry.deliveries)
    if entry.hold != received.hold and entry.hold in ("", *ROUTING_HOLDS):
        records.append(HoldRecord(identifier, received.hold))
    return records


def replaced_records(earlier: Entry, copy: Entry, now: float) -> list[Record]:
    """Return what is written down of an instance of which a copy goes where it did not: it is given up there.

    `now` is in seconds since 1970.
    """
    ends_hold = earlier.hold in ROUTING_HOLDS and bool(copy.deliveries)
    records = list[Record]()
    for one in copy.deliveries:
        known = earlier.deliveries.get(one)
        if known is None and ends_hold:
            recipe = copy.deliveries[one].recipe
            known = DeliveryRecord(earlier.received.id, one, DeliveryState.SKIPPED, recipe=recipe)
        if known is not None and known.state in (DeliveryState.DEAD_LETTERED, DeliveryState.SKIPPED):
            records.append(replace(known, state=DeliveryState.SKIPPED, reason=REPLACED, time=now))
    return [*records, HoldRecord(earlier.received.id, "")] if ends_hold else records


def newest_version(present: Entry | None, gone: Entry | None) -> Entry | None:
    """Return a copy of the newest version of an instance: the newest in the spool, or the one that left it last.

    Numbers do not tell: one that came again is the newest, and no destination has a later one then.
    """
    if present is not None and not (gone and gone.received.id > present.received.id and present.received.superseded):
        return Entry(present.received, present.hold, present.deliveries)
    return Entry(gone.received, "", gone.deliveries) if gone is not None else None
