"""What libraries log and warn becomes lines of the log's own form: bounded, once a minute, and without their values."""

import json
import subprocess
import sys

SCRIPT = """
import logging, warnings
from dicomroute_gateway import log
log.configure("info")
for _ in range(300):
    warnings.warn("value Quixlebury " + "x" * 10_000)
    logging.getLogger("pydicom").warning("value Quixlebury")
    logging.getLogger("asyncio").error("Task exception was never retrieved\\n" + "y" * 10_000)
logging.getLogger("aiohttp").info("nothing")
try:
    raise ValueError("Quixlebury")
except ValueError:
    logging.getLogger("pydicom.charset").exception("Quixlebury")
"""


def test_each_place_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["by"], one["level"]) for one in lines] == [
        ("UserWarning", "warning"),
        ("pydicom", "warning"),
        ("asyncio", "error"),
        ("pydicom.charset", "error"),
    ]
    assert len(done.stderr) < 3000
    assert "Quixlebury" not in done.stderr
    assert lines[2]["message"].startswith("Task exception was never retrieved")
    assert {one["event"] for one in lines} == {"library.warned"}
