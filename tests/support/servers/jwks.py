"""A web server that publishes the keys of an issuer, over https."""

import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.network.certificates import Pair


class KeyServer:
    """Answers every GET with `document`, after it may: see `gate`."""

    def __init__(self, pair: Pair) -> None:
        self.document = ""
        """What is answered; with "" the answer is 503."""
        self.redirect = ""
        """Where the answer sends the client instead."""
        self.gate = threading.Event()
        """While it is not set, answers wait."""
        self.gate.set()
        self.requests = 0
        """The number of requests so far."""
        self.token: str | None = None
        """The bearer token that a request has to show, None for none; else the answer is 401."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                outer.gate.wait(20)
                shown = self.headers["Authorization"]
                is_known = shown == (f"Bearer {outer.token}" if outer.token else None)
                body = outer.document.encode() if is_known else b""
                code = 200 if body else 503 if is_known else 401
                self.send_response(302 if outer.redirect else code)
                if outer.redirect:
                    self.send_header("Location", outer.redirect)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/keys"

    @contextmanager
    def running(self) -> Generator["KeyServer", None, None]:
        """Answer until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()
