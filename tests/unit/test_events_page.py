"""What is made from the list of events is fresh, and fits what a gateway tells."""

import subprocess
import sys
from pathlib import Path

from dicomroute_client.documents.events import EVENT_TYPES


def test_page_and_schema_of_events_are_fresh(root: Path, tmp_path: Path) -> None:
    for name in ("docs/events.md", "docs/reference/events.schema.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((root / name).read_text())
    subprocess.run([sys.executable, root / "tools" / "events.py", tmp_path], check=True)
    for name in ("docs/events.md", "docs/reference/events.schema.json"):
        assert (tmp_path / name).read_text() == (root / name).read_text(), f"{name}: run `make generate`"


def test_every_type_says_what_it_is() -> None:
    names = [one.full_name for one in EVENT_TYPES]
    assert len(names) == len(set(names))
    for one in EVENT_TYPES:
        assert (one.data.__doc__ or "").rstrip().endswith(".")
        assert one.subject
        assert one.identity
