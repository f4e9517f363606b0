"""Routes what Orthanc stores: it watches the log of changes, and what is new goes on as a job of the DICOMweb plugin.

    python orthanc_router.py HTTP_PORT SERVER

The fastest arrangement of those that were tried. OnStoredInstance in Lua makes a job of each instance: 64 of them side
by side, or 200, gave about half as many CT of 512 KB a second, and the default of 2 gave 4, as each job takes half a
second. OnStableSeries waits for at least a second in which nothing comes. This program's CPU counts as Orthanc's.
"""

import http.client
import json
import sys
import time
from typing import Any

LOOK_SECONDS = 0.05
MOST_INSTANCES = 50


def main() -> None:
    port, server = int(sys.argv[1]), sys.argv[2]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(method: str, path: str, body: Any = None) -> Any:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            sys.exit(f"{method} {path}: {response.status} {answer.decode(errors='replace')}")
        return json.loads(answer)

    last = 0
    while True:
        found = ask("GET", f"/changes?since={last}&limit=1000")
        last = found["Last"]
        new = [one["ID"] for one in found["Changes"] if one["ChangeType"] == "NewInstance"]
        for first in range(0, len(new), MOST_INSTANCES):
            job = {"Resources": new[first : first + MOST_INSTANCES], "Synchronous": False}
            ask("POST", f"/dicom-web/servers/{server}/stow", job)
        if found["Done"]:
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
