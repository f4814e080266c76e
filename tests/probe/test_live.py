"""A probe of real servers: what it says of a healthy store, of a broken cache, and of none."""

import signal
from collections import Counter
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from relevo_client import ContextKey
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import Copy
from relevo_probe.metrics import Metrics
from relevo_probe.partitions import tenants_of
from relevo_probe.probe import Options, Probe
from relevo_probe.rules import Check
from relevo_probe.summary import Summary
from relevo_probe.tenants import NoTenantError
from support.network.ports import ReservedPort
from support.servers.process import RelevoProcess, relevo_serve

WRITES = 40
PARTITIONS = 3


@pytest.fixture(scope="module")
def server() -> Generator[RelevoProcess]:
    """A server with a few partitions."""
    with relevo_serve("--store", "memory://", "--partitions", str(PARTITIONS)) as running:
        yield running


def options(server: RelevoProcess, **changes: Any) -> Options:
    """A probe with many writes, so that it has to do in a few seconds."""
    return Options([server.address], rate=20.0, **changes)


def test_a_healthy_store(server: RelevoProcess) -> None:
    """Nothing is found, every promise is checked, and the metrics are what was counted."""
    reader = InMemoryMetricReader()
    metrics = Metrics(MeterProvider([reader]))
    progress: list[Summary] = []
    probe = Probe(options(server), metrics=metrics)

    def stop_once_checked(summary: Summary) -> None:
        progress.append(summary)
        are_checked = min(summary.checks[check] for check in Check) > 0
        if len(progress) >= 3 and summary.writes > WRITES and are_checked:
            probe.stop()

    summary = probe.run(30.0, progress=stop_once_checked, every=0.1)
    assert summary.found == []
    assert summary.exit_code == 0
    assert summary.partitions == PARTITIONS
    assert len(progress) >= 3
    assert min(summary.checks[check] for check in Check) > 0
    exported = _exported(reader)
    assert exported["relevo.probe.checks"] == summary.checks
    assert exported["relevo.probe.violations"] == dict.fromkeys(Check, 0)
    assert exported["relevo.probe.staleness"][""] == summary.staleness.count > 0


def _exported(reader: InMemoryMetricReader) -> dict[str, dict[str, float]]:
    """The values of all instruments, or their counts, by the check."""
    data: Any = reader.get_metrics_data()
    found: dict[str, dict[str, float]] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            check = point.attributes.get("relevo.probe.check", "")
            is_histogram = hasattr(point, "count")
            found.setdefault(metric.name, {})[check] = point.count if is_histogram else point.value
    return found


def test_a_broken_near_cache(server: RelevoProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A near cache that serves whatever it has is found at once, and the run can stop there."""

    def served(cache: NearCache, key: ContextKey, fence: int, now: float) -> Copy | None:
        lookup(cache, key, fence, now)
        return cache.last_known(key, now)

    lookup = NearCache.lookup
    monkeypatch.setattr(NearCache, "lookup", served)
    summary = Probe(options(server)).run(30.0, stop_at_violation=True, every=0.05)
    assert summary.exit_code == 1
    assert summary.seconds < 15
    assert set(summary.violations) & {Check.FENCE, Check.RESURRECTED}


def test_an_outage_is_no_violation() -> None:
    """What fails while the store is away is counted apart, and what it says later is checked."""
    with relevo_serve("--store", "memory://", "--partitions", "1") as server:
        probe = Probe(options(server, timeout=0.3, max_staleness=0.5))
        states: Counter[str] = Counter()

        def stop_and_go_on(summary: Summary) -> None:
            if summary.writes and not states["stopped"]:
                server.signal(signal.SIGSTOP)
                states["stopped"] = summary.writes
            elif summary.failures and not states["going"]:
                server.signal(signal.SIGCONT)
                states["going"] = summary.writes
            elif states["going"] and summary.writes > states["going"] + 20:
                probe.stop()

        summary = probe.run(30.0, progress=stop_and_go_on, every=0.05)
    assert summary.found == []
    assert summary.exit_code == 0
    assert states["going"]
    assert sum(summary.failures.values()) > 0


def test_no_store() -> None:
    """A store that does not answer at first is no violation; nothing was checked."""
    with ReservedPort() as port:
        probe = Probe(Options([f"127.0.0.1:{port.number}"], timeout=0.2, wait=0.5))
        summary = probe.run(30.0)
    assert summary.exit_code == 3
    assert summary.writes == 0
    assert sum(summary.failures.values()) == 1


def test_tenants_of_the_principal(tmp_path: Path) -> None:
    """A principal needs the tenants that a known number of partitions gives, and no others."""
    needed = list(tenants_of("relevo-probe", PARTITIONS).values())
    with relevo_serve("--config", str(_config(tmp_path, needed))) as server:
        probe = Probe(options(server, token="t"))  # noqa: S106

        def stop_once_checked(summary: Summary) -> None:
            if summary.exit_code == 0:
                probe.stop()

        summary = probe.run(30.0, progress=stop_once_checked, every=0.05)
        assert summary.exit_code == 0
        assert summary.partitions == PARTITIONS
        with pytest.raises(NoTenantError, match="canary-"):
            Probe(options(server, token="t", tenant="canary")).run(1.0)  # noqa: S106
        with pytest.raises(NoTenantError, match=r"canary-\d+, canary-\d+, canary-\d+ and 2 more"):
            Probe(options(server, token="t", tenant="canary", partitions=5)).run(1.0)  # noqa: S106


def _config(folder: Path, tenants: list[str]) -> Path:
    path = folder / "relevo.toml"
    digest = sha256(b"t").hexdigest()
    path.write_text(
        f"partitions = {PARTITIONS}\n"
        f'principals = [{{ name = "probe", token_sha256 = "{digest}", tenants = {tenants} }}]\n'
    )
    return path
