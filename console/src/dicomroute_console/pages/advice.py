"""What to do about a delivery that is not made, by its reason. Pure; the words are those of the runbooks."""

from typing import Final

_CONTENT: Final = "The destination refuses this instance. Look at what it says; retry once it takes the instance."
_CREDENTIAL: Final = "Fix the credential in its Secret or its rights at the target. It is retried until it succeeds."
_URL: Final = "Correct the URL of the CloudTarget. It is retried until it succeeds."
_OUTAGE: Final = "It is retried until it succeeds. Fix the destination, or the network to it."

ADVICE: Final = {
    "Unmatched": "No rule takes it. Change the rules and release it, or drop it.",
    "RuleError": "A rule has no answer for it. Correct the rule's condition, then release it.",
    "ConflictingTreatment": "Two rules treat it differently for one destination. Correct one, then release it.",
    "RouteHeld": "The route holds its deliveries. Set spec.mode to Running.",
    "NoSuchDestination": "Its destination was removed. Create it again, or drop the deliveries to it.",
    "NotDeidentified": "Its destination takes de-identified instances alone. Give each rule that names it deidentify, "
    "or change spec.accepts of the destination.",
    "OutsideWindow": "It waits for the hour at which its destination may be sent to.",
    "TreatmentNotInForce": "It waits until the treatment that the newest manifest gives its destination is in force.",
    "SpoolKeyMissing": "The Secret of the spool lacks the key that encrypts it. Add that key as a further line.",
    "RecipeMissing": "The record of how it is prepared is missing or damaged. The gateway's log says where.",
    "DuplicateDiffers": "The target has another instance with this UID. Decide which is right; see onDuplicate.",
    "DuplicateInstance": "The target has an instance with this UID already; see onDuplicate.",
    "CannotCompare": "Give the credential the right to read, or choose another onDuplicate.",
    "OverwriteFailed": "Give the credential the right to delete, or let the server overwrite by itself.",
    "TooLarge": "The target takes no request of that length.",
    "ContentTooLarge": "The target takes no request of that length.",
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
