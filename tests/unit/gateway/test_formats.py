"""The format of a spool, when several threads raise it at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from dicomroute_gateway.spool.files import Files
from dicomroute_gateway.spool.formats import CONFIRMATIONS, RECIPES, Format, check


def test_it_never_falls_and_no_thread_stands_in_another_ones_way(tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = Files(folder)
        check(files)
        form, together = Format(files), Barrier(4)

        def need(wanted: int, form: Format = form, together: Barrier = together) -> None:
            together.wait()
            form.need(wanted)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(need, (RECIPES, CONFIRMATIONS, RECIPES, CONFIRMATIONS)))
        assert json.loads((folder / "format").read_bytes()) == {"format": CONFIRMATIONS}
        assert [one.name for one in folder.iterdir()] == ["format"]
