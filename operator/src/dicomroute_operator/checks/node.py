"""The checks of a DicomNode. What can be wrong with one alone, the API server refuses."""

from collections.abc import Iterator, Sequence

from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.node import DicomNode, VerifyName
from dicomroute_operator.api.warning_conditions import NameNotVerified

from .finding import Check, Finding, run_chain


def check_node(node: DicomNode) -> list[Finding]:
    """Return the findings of a node."""
    accepted = Finding("DicomNode", node.metadata.name, Accepted.ACCEPTED, True, "the manifest is consistent")
    return [accepted, *run_chain(NAME_NOT_VERIFIED, node)]


def any_name(node: DicomNode) -> Iterator[Finding]:
    """A certificate of many is the node's own only by its name."""
    tls = node.spec.tls
    if tls is not None and tls.verify_name is VerifyName.NONE:
        bundle = tls.ca_bundle_ref
        where = f"{bundle.kind} {bundle.name}" if bundle is not None else "caBundleRef"
        yield Finding(
            "DicomNode",
            node.metadata.name,
            NameNotVerified.ANY_NAME,
            True,
            f"any certificate of the authorities in {where} is accepted as the certificate of {node.spec.host}: set "
            "tls.serverName to the name in its certificate, or use an authority that issues certificates to few nodes",
            "spec.tls.verifyName",
        )


NAME_NOT_VERIFIED: Sequence[Check[DicomNode]] = (any_name,)
