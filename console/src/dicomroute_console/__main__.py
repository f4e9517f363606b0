"""Runs the console: `dicomroute-console --kubernetes URL --authorities FILE`, or for `dicomroute run` with --local.

`dicomroute-console --hash` reads a password and prints its hash, for the file of local users. `--derive-key` makes the
console's own key of the operator's admin key, which the console never sees.
"""

import argparse
import getpass
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final

import uvicorn

from dicomroute_client.tokens import console_key

from . import audit
from .signin.configuration import Mistaken, of_text
from .signin.doors import Doors
from .signin.guard import LOOPBACK
from .signin.local_users import hash_of
from .sources.cluster import Cluster
from .sources.delegated import Delegated, Either
from .sources.local import Local
from .sources.source import Source
from .web.app import Settings, application

_PARENT_POLL_SECONDS: Final = 1.0


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="dicomroute-console", description="Serves the console of dicomroute.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--kubernetes", metavar="URL", help="URL of the API server; 'in-cluster': that of the pod.")
    where.add_argument("--local", type=Path, metavar="FILE", help="State file that `dicomroute run` writes.")
    parser.add_argument("--authorities", type=Path, metavar="FILE", help="Authorities of the API server's certificate.")
    parser.add_argument("--namespace", action="append", default=[], help="A namespace that every list includes.")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="With --local: the token that signs in.")
    parser.add_argument("--host", action="append", default=[], help="A host name of the console in browsers.")
    parser.add_argument("--bind", default="127.0.0.1", help="Address to listen on.")
    parser.add_argument("--port", type=int, default=8090, help="Port to listen on; 0: any free one.")
    parser.add_argument("--parent", type=int, default=0, metavar="PID", help="Exit when this process exits.")
    parser.add_argument("--sign-in", type=Path, metavar="FILE", help="Issuers and local users, in JSON.")
    parser.add_argument("--account-token", type=Path, metavar="FILE", help="With --sign-in: the console's own token.")
    parser.add_argument("--console-key", type=Path, metavar="FILE", help="With --sign-in: what --derive-key has made.")
    if sys.argv[1:2] == ["--derive-key"]:
        _derive_key(sys.argv[2:])
        return
    if sys.argv[1:] == ["--hash"]:
        print(hash_of(getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")))
        return
    options = parser.parse_args()
    audit.configure()
    source: Source
    if options.local is not None:
        if options.sign_in is not None:
            parser.error("--sign-in needs a cluster, because RBAC decides who may do what; --local has only a token")
        if options.token_file is None or options.bind not in LOOPBACK:
            parser.error("--local needs --token-file, and a --bind address of this machine")
        source = Local(options.local, options.token_file.read_text().strip(), getpass.getuser())
    else:
        if options.authorities is None:
            parser.error("--kubernetes needs --authorities")
        cluster = Cluster(_api_server(options.kubernetes), options.authorities, options.namespace)
        source = cluster
        if options.sign_in is not None:
            if options.account_token is None or options.console_key is None:
                parser.error("--sign-in needs --account-token and --console-key")
            key = options.console_key.read_text().strip()
            source = Either(cluster, Delegated(cluster, options.account_token, key))
    try:
        doors = Doors(of_text(options.sign_in.read_text())) if options.sign_in is not None else Doors()
    except Mistaken as error:
        parser.error(f"{options.sign_in}: {error}")
    settings = Settings(frozenset((*LOOPBACK, *options.host)), is_local=options.local is not None)
    listening = socket.create_server(
        (options.bind, options.port), family=socket.AF_INET6 if ":" in options.bind else socket.AF_INET
    )
    if options.parent:
        threading.Thread(target=_end_with, args=(options.parent,), daemon=True).start()
    print(f"{options.bind} {listening.getsockname()[1]}", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(
            application(source, settings, doors),
            log_level="warning",
            access_log=False,  # addresses have Study Instance UIDs
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )
    server.run(sockets=[listening])


def _derive_key(arguments: list[str]) -> None:
    """Write the console's key, made of the operator's admin key: for a process that ends before the console starts."""
    if len(arguments) != 2:
        sys.exit("--derive-key takes two files: the admin key, and where the console's key is written")
    admin_key, made = Path(arguments[0]), Path(arguments[1])
    made.touch(mode=0o400)
    made.chmod(0o600)
    made.write_text(console_key(admin_key.read_bytes().strip()))
    made.chmod(0o400)


def _api_server(text: str) -> str:
    if text != "in-cluster":
        return text
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        sys.exit(
            "--kubernetes in-cluster: this is not a pod of a cluster (KUBERNETES_SERVICE_HOST is not set); give the "
            "URL of the API server"
        )
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
