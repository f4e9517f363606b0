"""Apache httpd as a process of a test: its own configuration, a free port, and what it was asked for."""

import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ports import free_port
from processes import Process

_MODULES: Final = Path("/usr/lib/apache2/modules")
_COMMON: Final = ("mpm_event", "authn_core", "authz_core", "authz_user", "setenvif", "proxy", "proxy_http")
_LINE: Final = r"%>s\t%u\t%r\t%{CREDENTIAL}e"


@dataclass(frozen=True)
class Seen:
    """A request that has ended. `user` is who was let in, `credential` what the Authorization header had."""

    status: int
    user: str
    method: str
    target: str
    credential: str


class Apache:
    """An httpd with these directives, in which ${FOLDER} is where it finds `files`.

    Started by root it gives its rights up, so that its files cannot be where a test has its own.
    """

    def __init__(
        self,
        modules: Sequence[str],
        directives: Sequence[str],
        files: Mapping[str, str],
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="dicomroute-httpd-")
        self.folder = Path(self._files.name)
        self.folder.chmod(0o755)
        self.host, self.port = host, free_port()
        loaded = [f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in (*_COMMON, *modules)]
        configuration = [
            f"Define FOLDER {self.folder}",
            f"ServerRoot {self.folder}",
            f"DefaultRuntimeDir {self.folder}",
            "ServerName 127.0.0.1",
            "PidFile httpd.pid",
            f"Listen {host}:{self.port}",
            "User www-data",
            "Group www-data",
            *loaded,
            "StartServers 1",
            "ThreadsPerChild 32",
            "MinSpareThreads 1",
            "ErrorLog error.log",
            'SetEnvIf Authorization "^(.*)$" CREDENTIAL=$1',
            f'CustomLog access.log "{_LINE}"',
            *directives,
        ]
        for name, content in files.items():
            (self.folder / name).write_text(content)
        (self.folder / "httpd.conf").write_text("\n".join(configuration) + "\n")
        self._process = Process(
            ["apache2", "-d", self.folder, "-f", "httpd.conf", "-DFOREGROUND"], self.folder / "output.log"
        )
        self._process.wait_until(self._listens, "httpd does not listen")

    def requests(self) -> list[Seen]:
        """Return the requests that have ended; one for a tunnel ends with the tunnel."""
        seen = []
        for line in (self.folder / "access.log").read_text().splitlines():
            status, user, request, credential = line.split("\t")
            if len(words := request.split()) == 3:
                seen.append(Seen(int(status), user, words[0], words[1], credential))
        return seen

    def errors(self) -> str:
        """Return what its error log says."""
        return (self.folder / "error.log").read_text()

    def close(self) -> None:
        self._process.stop()
        self._files.cleanup()

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), 5).close()
        except OSError:
            return False
        return True
