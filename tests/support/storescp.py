"""DCMTK's storescp, as it comes."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from corpus import data_set_bytes, uid_of
from ports import free_port
from processes import Process


class StoreSCP:
    """A storescp on a port of its own, which keeps what it gets in `folder`; without --fork it serves one at a time."""

    def __init__(
        self, folder: Path, *options: str, port: int | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self._environment = {**os.environ, **(environment or {})}
        self._process: Process | None = None
        self.start(*options)

    def start(self, *options: str) -> None:
        command = ["storescp", *options, "-od", str(self.folder), str(self.port)]
        log = self.folder.with_name(f"{self.folder.name}-{self.port}.log")
        self._process = Process(command, log, env=self._environment)
        self._process.wait_until(self._listens, "storescp does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process = None

    def data_sets(self) -> dict[str, bytes]:
        """Return what it keeps by SOP Instance UID: the data sets, as they came with option +B."""
        return {uid_of(file): data_set_bytes(file.read_bytes()) for file in self.folder.iterdir()}

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
