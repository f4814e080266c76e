"""Samples over time: what clients' counters grew by, and how the overview shows it."""

from relevo.admin.v1 import admin_pb2
from relevo_console.attempts import Attempts
from relevo_console.views import clients, overview
from relevo_console.views.samples import KEPT, Samples, Totals
from relevo_look import units


def client(peer: str, hits: int, misses: int, stale: float = 0.0) -> admin_pb2.ConnectedClient:
    """A client with these counts."""
    made = admin_pb2.ConnectedClient(peer=peer)
    made.cache.hits, made.cache.misses = hits, misses
    made.cache.staleness.FromMilliseconds(round(stale * 1000))
    return made


def status(latency: float | None = 0.001) -> admin_pb2.GetStatusResponse:
    """The state of a server whose store answers in so many seconds, or not at all."""
    made = admin_pb2.GetStatusResponse()
    made.store.available = latency is not None
    if latency is not None:
        made.store.latency.FromMicroseconds(round(latency * 1e6))
    return made


def test_what_clients_grew_by() -> None:
    """Counts are those between samples: clients come at 0, and what has gone takes nothing away."""
    samples = Samples()
    samples.add_clients([client("a", 1000, 10), client("b", 500, 5)], at=100)
    assert samples.totals == Totals()
    samples.add_clients([client("a", 1100, 12), client("c", 40, 2)], at=110)
    assert samples.totals == Totals(near=140, store=4)
    last = samples.effect[-1]
    assert (last.near, last.store, last.clients) == (14.0, 0.4, 2)
    assert samples.totals.share == 140 / 144


def test_oldest_proof() -> None:
    """Staleness is that of the client whose proof is the oldest."""
    samples = Samples()
    samples.add_clients([client("a", 0, 0, 0.2), client("b", 0, 0, 7.5)], at=1)
    assert samples.effect[-1].staleness == 7.5


def test_reads_without_an_entry() -> None:
    """Reads without an entry count from the first sample on, also over a restart of the server."""
    samples = Samples()
    for at, misses in ((0, 50), (10, 60), (20, 3)):
        samples.add_tenants([admin_pb2.TenantActivity(misses=misses)], at)
    assert samples.totals.absent == 13


def test_samples_are_forgotten() -> None:
    """Samples are kept for 15 minutes."""
    samples = Samples()
    for at in range(0, 3600, 2):
        samples.add_status(status(), at)
        samples.add_clients([client("a", at, 0)], at)
    for kept in (samples.health, samples.effect):
        assert kept[0].at == 3598 - KEPT
    assert samples.totals.near == KEPT + 2  # the first sample kept has two seconds in it


def test_charts() -> None:
    """A chart has at most 240 points and always the last, a gap for no answer, and a minute."""
    samples = Samples()
    samples.add_status(status(), 1000)
    samples.add_failure(1002)
    shown = overview.overview(
        samples, status(), sees_clients=False, problem="it is away", since=1002
    )
    (latency,) = shown.charts
    assert latency.data["times"] == [942, 1000, 1002]
    assert latency.data["series"][0]["values"] == [None, 0.001, None]
    assert shown.since
    for at in range(1004, 1900, 2):
        samples.add_status(status(at / 1e6), at)
    (latency,) = overview.overview(
        samples, status(), sees_clients=False, problem="", since=0
    ).charts
    times = latency.data["times"]
    assert len(times) <= 240
    assert times[-1] == 1898
    assert latency.answer == "Now in 1.9 ms."


def test_pages_of_clients() -> None:
    """A thousand clients come in pages of a hundred, the greatest first in the chosen order."""
    connected = [client(f"ipv4:10.0.0.1:{i}", i, 0) for i in range(1000)]
    for i, each in enumerate(connected):
        each.client.service_name = f"service-{i % 3}"
    shown = clients.page(connected, sort="hits", service="", number=2, now=units.now())
    assert (shown.number, shown.pages, len(shown.rows), shown.found) == (2, 10, 100, 1000)
    assert shown.rows[0].cells[4] == "ipv4:10.0.0.1:899"
    assert "100.0 % of 499,500 lookups" in shown.summary
    some = clients.page(connected, sort="hits", service="service-1", number=99, now=units.now())
    assert (some.found, some.number, some.pages) == (333, 4, 4)
    assert list(some.services) == ["service-0", "service-1", "service-2"]


def test_attempts() -> None:
    """An address fails five times a minute, all together fifty times."""
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(5):
        assert attempts.wait("a") == 0
        attempts.fail("a")
    assert attempts.wait("a") == 60
    assert attempts.wait("b") == 0
    now[0] = 60
    assert attempts.wait("a") == 0
    for i in range(50):
        attempts.fail(f"address-{i}")
    assert attempts.wait("another") == 60
