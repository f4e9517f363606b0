"""The token of the admin API goes to the gateway alone, and whatever a caller sends is answered."""

import http.server
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import Authority
from processes import wait_until
from routes import local_node, local_route, to
from running import Running, cli

NOWHERE = "http://127.0.0.1:9/dicom-web"


class Listening:
    """Keeps whatever it is sent."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._tls = tls
        self.port: int = self._socket.getsockname()[1]
        self.heard = b""
        self.asked = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            try:
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                connection.settimeout(5)
                self.heard += connection.recv(1 << 16)
            except OSError:
                pass
            finally:
                connection.close()

    def close(self) -> None:
        self._socket.close()


def token(running: Running) -> bytes:
    return (running.state / running.route / "admin-token").read_bytes().strip()


@pytest.fixture
def stopped(run: Callable[..., Running]) -> Running:
    """A gateway that has gone without a word, whose state folder still says where it listened."""
    running = run(local_node(), to(NOWHERE), local_route())
    address = (running.state / running.route / "admin-address").read_text()
    running.stop()
    (running.state / running.route / "admin-address").write_text(address)
    return running


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "with a certificate of its own"])
def test_whoever_takes_the_port_of_a_gateway_gets_no_token(stopped: Running, tmp_path: Path, with_tls: bool) -> None:
    port = int(stopped.admin.rpartition(":")[2])
    context = Authority(tmp_path / "authority").server() if with_tls else None
    squatter = Listening(port, context)
    found = cli("queue", "list", "--admin", stopped.admin, "--state", stopped.state)
    assert found.returncode == 1
    assert "does not answer as a gateway" in found.stderr
    wait_until(lambda: squatter.asked > 0, "nobody asked")
    assert token(stopped) not in squatter.heard
    squatter.close()


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    elsewhere = Listening()

    class Redirecting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{elsewhere.port}/api/v1/queue")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Redirecting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = tmp_path / "token"
    secret.write_text("an-example-token")
    found = cli("queue", "list", "--admin", f"127.0.0.1:{server.server_port}", "--token-file", secret)
    assert (found.returncode, "HTTP 302" in found.stderr) == (1, True)
    assert elsewhere.asked == 0
    server.shutdown()
    elsewhere.close()


def test_it_listens_on_this_machine_alone_unless_it_is_told_otherwise(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route(), options=("--bind", "0.0.0.0"))
    port = int(running.admin.rpartition(":")[2])
    assert running.admin.startswith("127.0.0.1:")
    listening = subprocess.run(["ss", "-tlnH", f"sport = :{port}"], check=True, capture_output=True, text=True).stdout
    assert f"127.0.0.1:{port}" in listening
    assert "0.0.0.0" not in listening.split()[3]
    dicom = subprocess.run(
        ["ss", "-tlnH", f"sport = :{running.port}"], check=True, capture_output=True, text=True
    ).stdout
    assert "0.0.0.0" in dicom


def test_a_token_that_is_none_is_not_known_and_makes_no_trace(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    host, port = running.admin.split(":")
    tokens = (
        b"Bearer \xff\xfe",
        b"Bearer \xc3\xa4",
        b"bearer \xe2\x82\xac",
        b"Basic dTpw",
        b"Bearer",
        b"",
        b"Bearer  ",
    )
    for value in tokens:
        head = b"GET /api/v1/status HTTP/1.1\r\nHost: gateway\r\nAuthorization: " + value
        with (
            socket.create_connection((host, int(port)), timeout=20) as plain,
            running.tls.wrap_socket(plain, server_hostname="gateway") as connection,
        ):
            connection.sendall(head + b"\r\nConnection: close\r\n\r\n")
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 401 "), value
    assert "Traceback" not in running.process.tail()
    assert '"admin.failed"' not in running.process.tail()


def test_nothing_older_than_tls_1_3_is_spoken(run: Callable[..., Running]) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    host, port = running.admin.split(":")
    old = running.tls
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((host, int(port)), timeout=20) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain)
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        assert running.tls.wrap_socket(plain).version() == "TLSv1.3"
