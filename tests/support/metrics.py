"""Metrics as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def samples(text: str) -> list[Sample]:
    """Return every sample of an answer of /metrics."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def value(text: str, name: str, **labels: str) -> float:
    """Return the value of the one sample with this name and these labels; 0 when there is none."""
    found = [one.value for one in samples(text) if one.name == name and labels.items() <= one.labels.items()]
    assert len(found) <= 1, f"{name} {labels}: {len(found)} samples"
    return found[0] if found else 0.0


def types(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return type and labels of each metric by its name as people write it: of a counter with `_total`."""
    found = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = frozenset(label for one in family.samples for label in one.labels if label != "le")
        found[name] = (family.type, labels)
    return found
