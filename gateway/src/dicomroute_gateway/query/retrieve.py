"""The Retrieve service as its SCP: C-MOVE and C-GET in the Patient Root and Study Root models (PS3.4 C.4.2, C.4.3)."""

import itertools
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomroute_gateway.configuration.destinations import DicomNodeDestination
from dicomroute_gateway.configuration.model import Configuration
from dicomroute_gateway.configuration.queries import QueryRetrieve
from dicomroute_gateway.dimse.admission import Refusal
from dicomroute_gateway.dimse.associate import AssociateRequest
from dicomroute_gateway.dimse.command import CommandField, Status
from dicomroute_gateway.dimse.negotiation import choose_transfer_syntax, is_storage_class, uncompressed_of
from dicomroute_gateway.dimse.services import Answered, Call, Exchange, Offer, Proposal
from dicomroute_gateway.dimse.tls import TlsContexts
from dicomroute_gateway.measures import Measures
from dicomroute_gateway.prepare.preparing import Preparing
from dicomroute_gateway.spool.fetched import FetchedFiles

from .archive import Archive
from .models import GET_MODELS, MOVE_MODELS
from .request import Places, offered
from .retrieval import Get, Move
from .storing import Bounds

EXTENDED: Final = b"\1\0"
"""Relational retrieval; no enhanced multi-frame image conversion (PS3.4 C.5.2.1 and C.5.3.1)."""


@dataclass(frozen=True, slots=True)
class Means:
    """What retrievals are made with.

    `folder` is where theirs are made, `is_own` says whether a host and a port are those of this gateway.
    """

    archives: Callable[[], Sequence[Archive]]
    spool: Archive
    preparing: Preparing
    files: FetchedFiles
    folder: Path
    contexts: TlsContexts
    measures: Measures
    is_own: Callable[[str, int], bool]


class RetrieveService:
    """Answers C-MOVE and C-GET on the listeners that the configuration names, for its clients."""

    is_storage = False

    def __init__(self, configuration: Callable[[], Configuration], means: Means) -> None:
        self._configuration = configuration
        self.means = means
        self.places = Places()
        self.bounds = Bounds()
        self.closing = threading.Event()
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """End retrievals under way: the gateway shuts down."""
        self.closing.set()

    def settings(self, listener: str) -> QueryRetrieve | None:
        """Return how retrievals are served on a listener; None where they are not."""
        return self._configuration().queries_on(listener)

    def offer(self, proposal: Proposal) -> Offer | None:
        """Take both models, and storage classes of which the peer would be the SCP for a C-GET."""
        uid, settings = proposal.context.abstract_syntax, self.settings(proposal.listener)
        if settings is None:
            return None
        if uid in GET_MODELS or (uid in MOVE_MODELS and settings.move_destinations):
            return offered(proposal, EXTENDED)
        is_stored_to = proposal.roles is not None and proposal.roles[1] and not proposal.roles[0]
        if is_stored_to and is_storage_class(uid) and proposal.beside & GET_MODELS.keys():
            # Every instance has an uncompressed form, or no other than its own.
            proposed = proposal.context.transfer_syntaxes
            return Offer(uncompressed_of(proposed) or choose_transfer_syntax(proposed), (False, True))
        return None

    def turn_away(self, request: AssociateRequest) -> Refusal | None:
        """Have nothing against anybody: who may not retrieve is told so in the answer."""
        return None

    def begin(self, call: Call) -> Exchange:
        """Take a retrieval."""
        syntax, field = call.context.abstract_syntax, call.command.field
        if field == CommandField.C_MOVE_RQ and syntax in MOVE_MODELS:
            return Move(self, call)
        if field == CommandField.C_GET_RQ and syntax in GET_MODELS:
            return Get(self, call)
        return Answered(Status.UNRECOGNIZED_OPERATION)

    def destination(self, settings: QueryRetrieve, ae_title: str) -> DicomNodeDestination | None:
        """Return the move destination with a title, None where there is none, or where it is this gateway itself."""
        found = next((one for one in settings.move_destinations if one.called_ae_title == ae_title), None)
        titles = {title for one in self._configuration().listeners for title in one.ae_titles}
        if found is not None and ae_title in titles and self.means.is_own(found.host, found.port):
            return None
        return found

    def make_folder(self) -> Path:
        """Return a new folder for the files of one retrieval. Raises OSError."""
        folder = self.means.folder / str(next(self._numbers))
        folder.mkdir(parents=True)
        return folder

    def remove_folder(self, folder: Path) -> None:
        """Remove it with all that is left in it. Never raises: what stays goes with the next start."""
        shutil.rmtree(folder, ignore_errors=True)
