"""Writes what an environment of Python is made of, with versions and licences, as a CycloneDX document.

    sbom.py PYTHON OUT

PYTHON is that of the environment. Run by an environment that has cyclonedx-bom (requirements/build.txt). The document
has no addresses: where a package is from is for the lock files' hashes to say.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def main(python: str, out: str) -> None:
    """Write the document."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", python]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    document = without_addresses(json.loads(done.stdout))
    document["metadata"].pop("tools", None)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def without_addresses(value: Any) -> Any:
    """Return a part of the document without what it says of addresses."""
    if isinstance(value, dict):
        return {name: without_addresses(one) for name, one in value.items() if name != "externalReferences"}
    return [without_addresses(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main(*sys.argv[1:])
