"""kubectl, as the caller has it: its context, its rights."""

import json
import shutil
import subprocess
from typing import Any

from .output import Failure


def kubectl(namespace: str | None, context: str | None, instead: str) -> list[str]:
    """Return the command with its options. Raises Failure when it is not there; `instead` is what else can be done."""
    if shutil.which("kubectl") is None:
        raise Failure(f"kubectl is not on the PATH: install it, or {instead}", 2)
    command = ["kubectl"]
    command += ["--context", context] if context else []
    command += ["--namespace", namespace] if namespace else []
    return command


def get(command: list[str], *words: str) -> Any:
    """Return what `kubectl get` shows, as it is in the API; None when it is not there. Raises Failure."""
    done = subprocess.run(
        [*command, "get", *words, "--output", "json", "--ignore-not-found"],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Failure(f"kubectl get {' '.join(words)}: {done.stderr.strip()}")
    try:
        return json.loads(done.stdout) if done.stdout.strip() else None
    except ValueError as error:
        raise Failure(f"kubectl get {' '.join(words)} returned something other than JSON") from error
