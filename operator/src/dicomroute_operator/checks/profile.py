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
        sentences.append("text is kept, unchecked, in attributes that the table does not list")
    if passed := [rule.name for rule in spec.objects if rule.action == "Pass"]:
        sentences.append(f"the object rules {', '.join(passed)} pass images whose pixels are not checked for names")
    if (known := spec.patient_id.known_ref) is not None:
        sentences.append(f"patients in ConfigMap {known.name} keep the pseudonyms of older keys")
    if spec.hold:
        sentences.append("on hold: this profile de-identifies nothing")
    return [Finding("DeidentificationProfile", profile.metadata.name, Accepted.ACCEPTED, True, "; ".join(sentences))]
