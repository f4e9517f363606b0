"""A forward proxy of the tests: tunnels by CONNECT, passes plain requests on, and can ask for a password (RFC 9110)."""

import base64
import http.client
import select
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class WebProxy:
    """A proxy on a free port; `passed` are the hosts and ports that it was asked for."""

    def __init__(self, username: str = "", password: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.password = password
        self.passed: list[str] = []
        self.refused = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                if tls is not None:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def _may_pass(self) -> bool:
                wanted = base64.b64encode(f"{username}:{proxy.password}".encode()).decode()
                if not username or self.headers.get("Proxy-Authorization") == f"Basic {wanted}":
                    return True
                proxy.refused += 1
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(407)
                self.send_header("Proxy-Authenticate", 'Basic realm="tests"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return False

            def do_CONNECT(self) -> None:
                if not self._may_pass():
                    return
                proxy.passed.append(self.path)
                host, _, port = self.path.rpartition(":")
                try:
                    upstream = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
                except OSError:
                    self.send_error(502)
                    return
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                with upstream:
                    _tunnel(self.connection, upstream)

            def _pass_on(self) -> None:
                if not self._may_pass():
                    return
                url = urlsplit(self.path)
                proxy.passed.append(url.netloc)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                upstream = http.client.HTTPConnection(url.netloc, timeout=10)
                headers = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
                upstream.request(self.command, url.path, body, headers)
                answer = upstream.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type", ""))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                upstream.close()

            do_GET = do_POST = _pass_on

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    ways = {one: other, other: one}
    try:
        while True:
            pending = isinstance(one, ssl.SSLSocket) and one.pending()
            ready = [one] if pending else select.select(list(ways), [], [], 30)[0]
            if not ready:
                return
            for source in ready:
                content = source.recv(1 << 16)
                if not content:
                    return
                ways[source].sendall(content)
    except OSError:
        return
