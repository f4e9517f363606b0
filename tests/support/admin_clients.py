"""A gateway of `dicomroute run`, as clients of its admin API know it."""

from typing import Any

from running import Running

from dicomroute_client import asynchronous
from dicomroute_operator.gateways.credential import fingerprint


def gateway(running: Running, **other: Any) -> asynchronous.GatewayAddress:
    state = running.state / running.route
    host, _, port = running.admin.rpartition(":")
    known = {
        "host": host,
        "port": int(port),
        "token": (state / "admin-token").read_text().strip(),
        "fingerprint": fingerprint((state / "admin-tls.crt").read_text()),
    }
    return asynchronous.GatewayAddress(**{**known, **other})
