"""What a collector hears of a platform equals what the run itself has counted."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from nooble.configuration import AGENT
from nooble.observing import Seen
from relevo_client import ContextKey
from support.platform.nooble import STEPS, WORKERS, Platform
from support.redis.process import RedisProcess
from support.telemetry.platform_collector import EndedSpan, PlatformCollector
from support.telemetry.table import instruments

pytestmark = pytest.mark.timeout(400)

AGENTS = (("meridian", "support"), ("meridian", "advisor"), ("lumen", "billing"))
TURNS = 3
"""Turns of each conversation before a change, and after it."""
MARK = "m4rk-of-a-value"
TRACE, ROOT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
METERS = {"relevo_client", "relevo_server"}
UNARY = ("Get", "BatchGet", "Put", "Invalidate", "Lease", "Release", "Snapshot")


@dataclass
class Run:
    """A run that has ended, by its own counts."""

    collector: PlatformCollector
    turns: int = 0
    conversations: int = 0
    changes: int = 0
    reads: int = 0
    """Requests to agent management for a configuration."""
    seen: list[Seen] = field(default_factory=list[Seen])
    snapshots: set[object] = field(default_factory=set[object])
    """The different contexts that conversations worked with."""

    def store_calls(self, *services: str) -> int:
        """The unary calls that these services have made to the store."""
        calls: dict[int, int] = {}
        for each in self.seen:
            if each.service in services:
                calls[each.pid] = max(each.store_calls, calls.get(each.pid, 0))
        return sum(calls.values())

    def rpcs(self, *methods: str, **attributes: str) -> float:
        """The calls that the store has answered, as its metrics say."""
        return sum(
            self.collector.total(
                "rpc.server.call.duration",
                rpc__method=f"relevo.v1.ContextStore/{method}",
                **attributes,
            )
            for method in methods
        )


async def play(run: Run, platform: Platform, agents: Sequence[tuple[str, str]]) -> None:
    """Hold a conversation with each agent; its configuration is changed in the middle."""
    for number, (tenant, agent) in enumerate(agents):
        # The first conversation is part of a trace that its client has begun.
        headers = {"traceparent": f"00-{TRACE}-{ROOT}-01"} if run.conversations == 0 else {}
        async with platform.conversation(tenant, agent, **headers) as conversation:
            run.conversations += 1
            for half in range(2):
                for _ in range(TURNS):
                    answer = await conversation.ask(f"Where is {MARK}?")
                    assert not answer.error
                    run.turns += 1
                    run.seen += answer.seen
                    run.snapshots.add((number, *sorted(answer.versions.items())))
                if half == 0:
                    key = ContextKey(AGENT, tenant, agent)
                    await platform.change(key, {"metadata": {"note": f"{MARK} {run.changes}"}})
                    run.changes += 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run() -> AsyncIterator[Run]:
    """A run whose processes have ended, so that all is exported."""
    with RedisProcess() as redis, PlatformCollector() as collector:
        run = Run(collector)
        async with Platform.running(redis, collector.environment) as platform:
            await play(run, platform, AGENTS)
            run.reads = await platform.reads()
        yield run


def test_calls_to_agent_management(run: Run) -> None:
    """Each creation but a conversation's asks agent management once, and nothing else does."""
    created = run.collector.total("relevo.client.creations", relevo__outcome="ok")
    assert created == run.reads + run.conversations
    assert created == run.collector.total("relevo.server.leases", relevo__outcome="granted")


def test_calls_to_the_store(run: Run) -> None:
    """The store has answered the calls that services counted, and one Put for each change."""
    calls = run.store_calls(*WORKERS, "orchestrator")
    assert run.rpcs(*UNARY) == calls + run.changes


def test_hits_of_near_caches(run: Run) -> None:
    """Each step has one context: from the near cache, from the call itself, or by a call."""
    steps = sum(step != "orchestrator" for step in STEPS) * run.turns
    asked = run.store_calls(*WORKERS)
    found = sum(
        point.value
        for point in run.collector.points
        if point.name == "relevo.client.resolutions"
        and point.service in WORKERS
        and point.attributes["relevo.context.source"] in ("near_cache", "rider")
        and point.attributes["relevo.outcome"] == "ok"
    )
    assert found == steps - asked
    assert found > asked


def test_changes(run: Run) -> None:
    """Every write of the store is a change, a creation, or a snapshot that a turn began with.

    A turn that did not find its context in the cache had its snapshot from the store.
    """
    others = run.changes + run.reads + run.conversations
    puts = run.rpcs("Put", rpc__response__status_code="OK")
    snapshots = run.rpcs("Snapshot", rpc__response__status_code="OK")
    # One that a busy machine did not answer in time is repeated.
    assert others <= puts <= others + len(run.snapshots) <= puts + snapshots
    received = run.collector.total("relevo.client.near_cache.pushes")
    assert received == run.collector.total("relevo.server.watch.events") >= run.changes


def test_what_is_exported_is_documented(run: Run) -> None:
    """Relevo's meters have instruments, kinds, units, attributes and values of the page only."""
    documented = instruments()
    ours = [point for point in run.collector.points if point.scope in METERS]
    assert {point.scope for point in ours} == METERS
    for point in ours:
        expected = documented[point.name]
        assert point.scope == expected.meter
        assert point.kind == expected.data, point
        assert point.unit == expected.unit, point
        assert point.attributes.keys() <= set(expected.attributes), point
        for name, value in point.attributes.items():
            assert expected.allows(name, value), point


def test_nothing_went_wrong(run: Run) -> None:
    """No reset, and no refused reference."""
    total = run.collector.total
    assert total("relevo.server.watch.resets") == total("relevo.client.watch.resets") == 0
    assert total("relevo.client.references", relevo__outcome="refused") == 0


def test_a_trace_is_whole(run: Run) -> None:
    """All spans of the first conversation are of its client's trace, each with its parent."""
    spans = {span.span_id: span for span in run.collector.ended if span.trace_id == TRACE}
    # The store takes no part: the turn's context comes along with its calls.
    assert {span.service for span in spans.values()} - {"relevo"} == {"orchestrator", *WORKERS}
    roots = [span for span in spans.values() if span.parent_id not in spans]
    assert {(span.service, span.name, span.parent_id) for span in roots} == {
        ("orchestrator", "turn", ROOT)
    }
    assert len(roots) == 2 * TURNS


def test_a_trace_goes_from_http_to_redis(run: Run) -> None:
    """The ancestors of a span are HTTP, queues, gRPC and the store, in the order of the calls."""
    spans = {span.span_id: span for span in run.collector.ended}

    def path(span: EndedSpan | None) -> list[str]:
        """The services from the client to a span, each as often as it is entered."""
        services: list[str] = []
        while span:
            if services[:1] != [span.service]:
                services.insert(0, span.service)
            span = spans.get(span.parent_id)
        return services

    ours = [span for span in spans.values() if span.trace_id == TRACE]
    embedded = [span for span in ours if span.name.endswith("/Embed")]
    by_grpc = [span for span in embedded if span.kind == "SERVER"]
    assert len(by_grpc) == 2 * TURNS
    for span in by_grpc:
        assert path(span) == list(STEPS[:-1])
    commands = [span for span in spans.values() if "db.operation.name" in span.attributes]
    # A conversation begins, and snapshots are stored, in traces of their own.
    assert ["orchestrator", "relevo"] in map(path, commands)
    for span in commands:
        assert (spans[span.parent_id].scope, spans[span.parent_id].kind) == (span.scope, "SERVER")


@pytest.mark.parametrize("marked", [MARK, "Where is"], ids=["a value", "what users say"])
def test_values_are_not_exported(run: Run, marked: str) -> None:
    """No span, metric or resource has anything of a context or of what users say."""
    records = list(run.collector.records())
    assert len(records) > 1000  # of all processes; how many depends on their calls
    assert not [record for record in records if marked.encode() in record]


def test_metrics_have_no_tenant(run: Run) -> None:
    """No attribute of a metric has a tenant, an agent or a conversation."""
    forbidden = {name for agent in AGENTS for name in agent}
    for point in run.collector.points:
        for value in map(str, point.attributes.values()):
            assert not any(name in value for name in forbidden), point


@pytest.mark.long
async def test_values_are_not_in_100_000_records() -> None:
    """A longer run exports 100,000 records, and none has a value."""
    with RedisProcess() as redis, PlatformCollector() as collector:
        run = Run(collector)
        async with Platform.running(redis, collector.environment) as platform:
            while sum(1 for _ in collector.records()) < 100_000:
                await play(run, platform, AGENTS)
        assert not [record for record in collector.records() if MARK.encode() in record]
        assert run.turns >= 2 * TURNS * len(AGENTS)
