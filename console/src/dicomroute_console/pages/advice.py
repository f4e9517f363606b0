"""What to do about a delivery that is not made, by its reason. Pure; the words are those of the runbooks."""

from typing import Final

_CONTENT: Final = "The destination refuses this instance. Read its answer, fix the cause there, then retry."
_CREDENTIAL: Final = (
    "Fix the credential in its Secret, or its permissions at the target. The delivery is retried until it succeeds."
)
_URL: Final = "Correct the URL of the CloudTarget. The delivery is retried until it succeeds."
_OUTAGE: Final = "Fix the destination, or the network to it. The delivery is retried until it succeeds."

ADVICE: Final = {
    "Unmatched": "No rule matches this instance. Change the rules and release it, or drop it.",
    "RuleError": "A rule could not be evaluated for this instance. Correct the rule's condition, then release it.",
    "ConflictingTreatment": (
        "Two rules send this instance to one destination with different treatments. Correct one of them, then release "
        "it."
    ),
    "RouteHeld": "The mode of the route holds deliveries. Set spec.mode to Running.",
    "DestinationHeld": "The mode of the destination holds its deliveries. Set it to Running under Hold and resume.",
    "RuleHeld": "The mode of its rule holds the delivery. Set it to Running under Hold and resume.",
    "NoSuchDestination": "The destination was removed. Create it again, or drop its deliveries.",
    "NotDeidentified": "Its destination accepts de-identified instances only. Give each rule that names it deidentify, "
    "or change spec.accepts of the destination.",
    "OutsideWindow": "The delivery waits for the next time window of its destination.",
    "TreatmentNotInForce": "The delivery waits until the treatment in the newest manifest is in effect.",
    "SpoolKeyMissing": (
        "The Secret of the spool does not contain the key that encrypts this instance. Add that key as another line."
    ),
    "RecipeMissing": "The recipe of this instance is missing or damaged. The gateway's log says where.",
    "DuplicateDiffers": (
        "The target has a different instance with this UID. Decide which one is right; see onDuplicate."
    ),
    "DuplicateInstance": "The target already has an instance with this UID; see onDuplicate.",
    "CannotCompare": "Grant the credential permission to read, or choose another onDuplicate.",
    "OverwriteFailed": "Grant the credential permission to delete, or let the server overwrite by itself.",
    "TooLarge": "The target does not accept requests of this length.",
    "ContentTooLarge": "The target does not accept requests of this length.",
    **dict.fromkeys(("Unauthorized", "Forbidden", "ProxyAuthenticationRequired"), _CREDENTIAL),
    **dict.fromkeys(("NotFound", "MethodNotAllowed", "Redirected"), _URL),
    **dict.fromkeys(
        (
            "DataSetDoesNotMatchSOPClass",
            "ValidationFailed",
            "CannotUnderstand",
            "SOPClassNotSupported",
            "TransferSyntaxNotSupported",
            "TranscodingFailed",
            "Refused",
        ),
        _CONTENT,
    ),
}


def advice(state: str, reason: str) -> str:
    """Return what to do about a delivery, "" where nothing is to be done."""
    if state in ("Delivered", "Skipped") or not reason:
        return ""
    return ADVICE.get(reason, _CONTENT if state == "DeadLettered" else _OUTAGE if state == "Pending" else "")
