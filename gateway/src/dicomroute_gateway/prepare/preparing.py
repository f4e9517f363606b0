"""Makes parcels of instances: as they came, or what a recipe makes of them, once and durably, for every attempt."""

from dataclasses import replace
from functools import partial

from dicomroute_gateway.configuration.recipe import Recipe, Transcode
from dicomroute_gateway.spool.part10 import head_length
from dicomroute_gateway.spool.records import Received
from dicomroute_gateway.spool.spool import Spool

from .parcel import Parcel
from .transcode import explicit_file

AS_IT_CAME = Recipe()


class Preparing:
    """Makes what is sent of what came. Safe to use from several threads."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def parcel(self, received: Received) -> Parcel:
        """Return an instance as it came."""
        return Parcel(
            AS_IT_CAME,
            received.sop_class_uid,
            received.sop_instance_uid,
            received.series_instance_uid,
            received.study_instance_uid,
            received.transfer_syntax_uid,
            received.length,
            self._spool.stored(received),
        )

    def in_syntax(self, received: Received, parcel: Parcel, transfer_syntax_uid: str) -> Parcel:
        """Return a parcel of `received` in another transfer syntax. Takes long the first time: not for an event loop.

        Raises TranscodingFailed, Unreadable; OSError when there is no room for it.
        """
        if parcel.transfer_syntax_uid == transfer_syntax_uid:
            return parcel
        recipe = Recipe((*parcel.recipe.steps, Transcode(transfer_syntax_uid)))
        file = self._spool.derived(received, recipe, partial(explicit_file, parcel))
        head = head_length(parcel.sop_class_uid, parcel.sop_instance_uid, transfer_syntax_uid)
        return replace(
            parcel, recipe=recipe, transfer_syntax_uid=transfer_syntax_uid, length=file.length - head, file=file
        )
