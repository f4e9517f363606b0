"""Why an instance is held that rules named nobody for: words of the journal, the queue and the status. Pure."""

from typing import Final

UNMATCHED: Final = "Unmatched"
"""No rule takes it."""
RULE_ERROR: Final = "RuleError"
"""A rule has no answer for it."""
CONFLICTING_TREATMENT: Final = "ConflictingTreatment"
"""Rules name one destination for it with different treatments."""
ROUTING_HOLDS: Final = (UNMATCHED, RULE_ERROR, CONFLICTING_TREATMENT)
"""When such an instance comes again, or is released, the rules of then are asked."""
