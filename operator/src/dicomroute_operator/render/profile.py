"""A DeidentificationProfile as the gateway is told it. Pure."""

from typing import Any

from dicomroute_operator.api.profile import DeidentificationProfile


def render_profile(profile: DeidentificationProfile) -> dict[str, Any]:
    """Return the section of the gateway's configuration. What ConfigMaps say of it, the gateway reads itself."""
    spec = profile.spec
    return {
        "namespace": profile.metadata.namespace,
        "name": profile.metadata.name,
        "edition": spec.edition,
        "options": sorted(spec.options),
        "patientIDPrefix": spec.patient_id.prefix,
        "keepWeekdays": spec.dates.keep_weekdays,
        "unlistedText": spec.unlisted_text,
        "rules": [rule.model_dump(mode="json", by_alias=True) for rule in spec.rules],
        "objects": [rule.model_dump(mode="json", by_alias=True) for rule in spec.objects],
        "hold": spec.hold,
    }
