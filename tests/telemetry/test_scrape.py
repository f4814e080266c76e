"""The addresses at which Prometheus finds the metrics."""

import socket
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from relevo_server.telemetry.scrape import MetricsServer


@contextmanager
def served(listen: str) -> Generator[MetricsServer]:
    """Serve a counter."""
    registry = CollectorRegistry()
    Counter("calls", "", registry=registry).inc(7)
    server = MetricsServer(listen, registry)
    try:
        yield server
    finally:
        server.close()


def scraped(address: str) -> str:
    """The text that is served at an address."""
    return httpx.get(f"http://{address}/metrics", timeout=20).text


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "0.0.0.0:0"])
def test_an_address(listen: str) -> None:
    """The address that is told has the metrics."""
    with served(listen) as server:
        assert server.address.startswith(listen.removesuffix("0"))
        assert "calls_total 7.0" in scraped(server.address)


def test_all_interfaces() -> None:
    """Without a host, the metrics are at each address of this host, by IPv4 and by IPv6."""
    with served(":0") as server:
        port = server.address.rpartition(":")[2]
        hosts = ["127.0.0.1", "[::1]"] if socket.has_dualstack_ipv6() else ["127.0.0.1"]
        for host in hosts:
            assert "calls_total 7.0" in scraped(f"{host}:{port}")


def test_the_name_of_the_host_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server starts at once, even if nobody answers who this host is."""

    def look_up(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr(socket, "getfqdn", look_up)
    with served("127.0.0.1:0"):
        pass


@pytest.mark.parametrize("listen", ["no.such.host.invalid:9464", "192.0.2.1:9464"])
def test_an_address_that_is_not_of_this_host(listen: str) -> None:
    """The error names the address, and what it was for."""
    with pytest.raises(OSError, match=f"cannot listen on {listen} for metrics"):
        MetricsServer(listen, CollectorRegistry())
