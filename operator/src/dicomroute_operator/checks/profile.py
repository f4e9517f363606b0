"""The checks of a DeidentificationProfile. What contradicts itself, the API server refuses."""

from dicomroute_operator.api.conditions import Accepted
from dicomroute_operator.api.profile import DeidentificationProfile, UnlistedText

from .finding import Finding


def check_profile(profile: DeidentificationProfile) -> list[Finding]:
    """Return the findings of a profile: what it comes to, and what it cannot do."""
    spec = profile.spec
    options = ", ".join(sorted(spec.options)) or "no option"
    sentences = [f"Basic Profile of PS3.15 {spec.edition} with {options}; faces are not removed from images"]
    if spec.unlisted_text is UnlistedText.KEEP:
        sentences.append("text in attributes without a row in the table is kept, whatever it says")
    if passed := [rule.name for rule in spec.objects if rule.action == "Pass"]:
        sentences.append(f"what the object rules {', '.join(passed)} pass is not looked at for names in its pixels")
    if spec.hold:
        sentences.append("on hold: nothing is de-identified by it")
    return [Finding("DeidentificationProfile", profile.metadata.name, Accepted.ACCEPTED, True, "; ".join(sentences))]
