"""The checks of a DicomNode. What can be wrong with one alone, the API server refuses."""

from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.node import DicomNode

from .finding import Finding


def check_node(node: DicomNode) -> list[Finding]:
    """Return the findings of a node."""
    return [Finding("DicomNode", node.metadata.name, Accepted.ACCEPTED, True, "the manifest contradicts nothing")]
