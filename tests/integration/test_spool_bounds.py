"""A spool takes no more of its volume than it may, however much comes at once."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from manifests import changed
from pdus import data_set, element
from peer import Answered, Peer, new_uid
from processes import wait_until
from routes import local_node, local_route, to
from running import Running

NOWHERE = "http://127.0.0.1:9/dicom-web"
_PIXELS = 0x7FE00010
_MEGABYTE = 1 << 20


def bytes_on_volume(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*.dcm"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


@pytest.mark.parametrize("megabytes, senders", [(24, 12), (0.4, 24)])
def test_what_is_under_way_counts(run: Callable[..., Running], megabytes: float, senders: int) -> None:
    """Whatever is refused is told so, and what was accepted is kept; then there is room again."""
    size = 64 if megabytes > 1 else 6
    route = changed(local_route(), "spec.gateway.spool", {"size": f"{size}Mi", "highWatermarkPercent": 90})
    running = run(local_node(), to(NOWHERE), changed(route, "spec.listeners.0.maxAssociations", 50))
    statuses: Counter[str] = Counter()
    together = threading.Barrier(senders)

    def send() -> None:
        uid = new_uid()
        data = data_set(uid, element(_PIXELS, "OW", bytes(int(megabytes * _MEGABYTE))))
        peer = Peer(running.port, patience_seconds=60).associated()
        together.wait()
        answer = peer.store(data, uid)
        assert isinstance(answer, Answered)
        statuses[f"{answer.status:04X}"] += 1
        peer.close()

    threads = [threading.Thread(target=send) for _ in range(senders)]
    most = 0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, bytes_on_volume(running.folder))
        threads[0].join(0.005)
    for thread in threads:
        thread.join()
    assert statuses["0000"] + statuses["A700"] == senders, statuses
    assert statuses["A700"] > 0
    assert statuses["0000"] * megabytes < size
    # What is under way is looked at after each megabyte of each association.
    assert most < (size + senders) * _MEGABYTE
    kept = statuses["0000"]
    wait_until(
        lambda: running.status()["spool"]["usedBytes"] < (kept * megabytes + 1) * _MEGABYTE,
        "what was refused is still counted",
    )
    assert running.counts()["owed"] == kept
