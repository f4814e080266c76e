"""The endpoint for Prometheus: a small HTTP server in a thread of its own."""

import socket
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from relevo_server.telemetry.whole import Family, Report, Sample, labels_of

PATH = "/metrics"
_IDLE = 10.0
"""Seconds after which a connection that sends nothing is closed."""


class MetricsServer:
    """Serves a registry's metrics at /metrics. Raises OSError if the address is not available.

    `listen` is host:port; without a host it listens on all interfaces, and port 0 takes a free one.
    """

    def __init__(self, listen: str, registry: CollectorRegistry) -> None:
        host, _, port = listen.rpartition(":")
        host = host.strip("[]") or _all_interfaces()
        try:
            self._server = _server(host, int(port), _handler(registry))
        except OSError as error:
            raise OSError(f"cannot listen on {listen} for metrics: {error.strerror}") from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self._server.server_address[1]}"
        """The address that it listens on, as host:port."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def report_of(registry: CollectorRegistry) -> Report:
    """The metrics of a registry, collected now. One thread may ask at a time."""
    return [
        Family(
            *(family.name, family.documentation, family.type, family.unit),
            samples=[
                Sample(each.name, labels_of(each.labels), each.value) for each in family.samples
            ],
        )
        for family in registry.collect()
    ]


def registry_of(read: Callable[[], Report]) -> CollectorRegistry:
    """A registry with what `read` returns at each collection."""
    registry = CollectorRegistry()
    registry.register(_Reported(read))
    return registry


class _Reported(Collector):
    def __init__(self, read: Callable[[], Report]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are not known before the first collection."""
        return []

    def collect(self) -> Iterable[Metric]:
        for name, documentation, kind, unit, samples in self._read():
            metric = Metric(name, documentation, kind, unit)
            for each in samples:
                metric.add_sample(each.name, dict(each.labels), each.value)
            yield metric


def _all_interfaces() -> str:
    """The address that stands for every interface, by IPv4 and, if there is any, IPv6."""
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - it was asked for


def _server(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]

    class _Server(ThreadingHTTPServer):
        address_family = family
        daemon_threads = True

        def server_bind(self) -> None:
            if host == "::":
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            # HTTPServer's own also looks up the name of the host, which DNS may answer late.
            TCPServer.server_bind(self)

    return _Server((str(address[0]), int(address[1])), handler)


def _handler(registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()  # the reader of OpenTelemetry serves one collection at a time

    class _Handler(BaseHTTPRequestHandler):
        timeout = _IDLE

        def do_GET(self) -> None:
            if urlsplit(self.path).path != PATH:
                self._answer(404, "text/plain; charset=utf-8", f"see {PATH}\n".encode())
                return
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            with lock:
                text: bytes = encode(registry)
            self._answer(200, content_type, text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Log nothing: a scrape is no event."""

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return _Handler
