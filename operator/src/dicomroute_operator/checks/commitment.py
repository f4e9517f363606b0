"""The checks of what a route promises by storage commitment."""

from collections.abc import Iterator

from dicomroute_operator.api.delivery import ConfirmBy, DestinationKind
from dicomroute_operator.api.inputs import RouteInputs
from dicomroute_operator.api.listener import SourcePolicy
from dicomroute_operator.api.warning_conditions import CommitsOnAnswer, ReportsUndeliverable

from .finding import Finding


def commits_on_answer(inputs: RouteInputs) -> Iterator[Finding]:
    """Who is promised that an instance is kept deletes it: an answer alone says little of that."""
    confirmed = {
        (one.kind, one.name) for one in inputs.route.spec.destinations if one.confirm.by is not ConfirmBy.ANSWER
    }
    for one in inputs.commitment_destinations():
        if (one.kind, one.name) not in confirmed:
            by = ConfirmBy.STORAGE_COMMITMENT if one.kind is DestinationKind.DICOM_NODE else ConfirmBy.QUERY
            yield Finding(
                "DicomRoute",
                inputs.route.metadata.name,
                CommitsOnAnswer.DESTINATION_ONLY_ANSWERS,
                True,
                f"the route commits to instances that {one.kind} {one.name} took but did not confirm: add confirm: "
                f"{{by: {by}}} in spec.destinations, if the destination supports it",
                "spec.storageCommitment.destinations",
            )


def reports_undeliverable(inputs: RouteInputs) -> Iterator[Finding]:
    """Most reports are made after their association has ended: who asks has to say where it is called."""
    name, field = inputs.route.metadata.name, "spec.storageCommitment.listeners"
    commitment = inputs.route.spec.storage_commitment
    for node in inputs.commitment_requestors():
        if node.spec.host is None:
            yield Finding(
                "DicomRoute",
                name,
                ReportsUndeliverable.REQUESTOR_HAS_NO_HOST,
                True,
                f"DicomNode {node.metadata.name} may request storage commitment, but has no host for the result: add "
                "spec.host, and spec.port if it is not 104",
                field,
            )
    names = commitment.listeners if commitment is not None else ()
    for listener in inputs.route.spec.listeners:
        if listener.name in names and listener.sources.policy is SourcePolicy.ANY:
            yield Finding(
                "DicomRoute",
                name,
                ReportsUndeliverable.ANYBODY_MAY_ASK,
                True,
                f"listener {listener.name} accepts storage commitment requests from any caller, but the result can be "
                "sent only to a DicomNode with a host: name the nodes in its sources",
                field,
            )
