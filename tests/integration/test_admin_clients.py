"""The clients of the admin API at a real gateway: both read the same, and neither tells a stranger the token."""

import asyncio
import json
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from admin_clients import gateway
from corpus import FILES
from routes import local_node, local_route, to
from running import Running, cli

from dicomroute_client import asynchronous, blocking, calls
from dicomroute_client.errors import AdminError, Refused, Unknown, Unreachable

NOWHERE = "http://127.0.0.1:9/dicom-web"


@pytest.fixture
def running(run: Callable[..., Running]) -> Running:
    return run(local_node(), to(NOWHERE), local_route())


def ask(make: Callable[[asynchronous.AdminClient], Coroutine[Any, Any, Any]]) -> Any:
    async def asked() -> Any:
        async with asynchronous.session() as session:
            return await make(asynchronous.AdminClient(session))

    return asyncio.run(asked())


def test_both_clients_read_the_same(running: Running) -> None:
    known = gateway(running)
    waiting = blocking.AdminClient(known.url, known.token, running.tls)
    for call in (calls.queue(), calls.ledger(calling="CT1"), calls.refused()):
        assert ask(lambda client, call=call: client.ask(known, call)).text == waiting.ask(call).text
    assert waiting.ask(calls.status()).document.route.name == "ct-to-cloud"
    nothing = calls.change(calls.Operation.RETRY, {"instances": [7]})
    assert ask(lambda client: client.ask(known, nothing, "somebody")).document == waiting.ask(nothing).document


def test_a_gateway_explains_a_file_as_the_command_line_does(running: Running) -> None:
    known = gateway(running)
    call = calls.explain((FILES / "CT_small.dcm").read_bytes(), "CT1")
    said = ask(lambda client: client.ask(known, call)).data
    words = ("-f", running.manifests, "--route", "ct-to-cloud", "--calling", "CT1", "-o", "json")
    printed = json.loads(cli("explain", FILES / "CT_small.dcm", *words, check=True).stdout)
    for one in said["destinations"]:
        assert (one.pop("notPrepared"), one.pop("changes")) == ("", [])
        assert (one.pop("deidentifiedBy"), one.pop("masked"), one.pop("waitsForStudy")) == ("", [], [])
    assert said == printed
    waiting = blocking.AdminClient(known.url, known.token, running.tls)
    with pytest.raises(Refused, match="is not a DICOM file"):
        waiting.ask(calls.explain(b"no instance", "CT1"))
    with pytest.raises(Refused, match="larger than 32 MiB"):
        waiting.ask(calls.explain(bytes(33 << 20), "CT1"))
    with pytest.raises(Refused, match="1 to 16 characters"):
        waiting.ask(calls.explain(b"", ""))
    with pytest.raises(Refused, match="must be an IP address"):
        waiting.ask(calls.explain(b"", "CT1", address="here"))


def test_a_refusal_is_the_gateways_own_sentence(running: Running) -> None:
    known = gateway(running)
    wrong = calls.queue(destination="CloudTarget/nobody")
    with pytest.raises(Refused, match="there is no destination 'CloudTarget/nobody'") as refused:
        ask(lambda client: client.ask(known, wrong))
    assert refused.value.status == 404
    with pytest.raises(Refused, match="there is no destination 'CloudTarget/nobody'"):
        blocking.AdminClient(known.url, known.token, running.tls).ask(wrong)


def test_whoever_is_not_the_gateway_that_is_meant_is_not_told_the_token(running: Running) -> None:
    with pytest.raises(Unknown, match="another certificate"):
        ask(lambda client: client.ask(gateway(running, fingerprint=bytes(32)), calls.status()))
    with pytest.raises(Unknown, match="does not know the admin token"):
        ask(lambda client: client.ask(gateway(running, token="another"), calls.status()))
    with pytest.raises(Unreachable):
        ask(lambda client: client.ask(gateway(running, port=9), calls.status()))
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(AdminError):
        blocking.AdminClient(gateway(running).url, "token", nobody).ask(calls.status())
