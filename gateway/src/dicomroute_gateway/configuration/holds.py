"""Why an instance or a delivery is held for its rules: words of the journal, the queue and the status. Pure."""

from typing import Final

from dicomroute_gateway.reasons import Reason

UNMATCHED: Final = Reason.UNMATCHED
"""No rule takes it."""
RULE_ERROR: Final = Reason.RULE_ERROR
"""A rule has no answer for it."""
CONFLICTING_TREATMENT: Final = Reason.CONFLICTING_TREATMENT
"""Rules name one destination for it with different treatments."""
NO_STUDY: Final = Reason.NO_STUDY
"""A rule waits for its study, and it names none: it has no valid Study Instance UID."""
TREATMENT_NOT_IN_FORCE: Final = Reason.TREATMENT_NOT_IN_FORCE
"""Of a delivery: the newest manifest treats what its destination gets, and that treatment is not in force for it."""
RULE_HELD: Final = Reason.RULE_HELD
"""Of a delivery: every rule that names its destination for the instance holds its deliveries."""
ROUTING_HOLDS: Final = (UNMATCHED, RULE_ERROR, CONFLICTING_TREATMENT, NO_STUDY)
"""When such an instance comes again, or is released, the rules of then are asked."""
