"""The dashboard's queries and the rules, asked of a Prometheus that scrapes a running platform."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import dashboard
import pytest
import pytest_asyncio
from nooble.configuration import AGENT
from relevo_client import ContextKey
from support.platform.nooble import Platform
from support.prometheus.server import Prometheus, QueryError
from support.redis.process import RedisProcess
from support.telemetry import prometheus_names
from support.waiting import until

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
ENVIRONMENT = {"OTEL_METRICS_EXPORTER": "prometheus", "RELEVO_METRICS_LISTEN": "127.0.0.1:0"}
AGENTS = (("meridian", "support"), ("meridian", "advisor"))
SUPPORT = ContextKey(AGENT, "meridian", "support")

NOT_IN_A_HEALTHY_RUN = {
    *("Failed store operations", "Failed resolutions", "Fallbacks", "Resets of services"),
    *("Checks against the store", "From a write to a near cache"),  # neither probe nor sampler
}
"""Panels that may lack data as long as all is well."""
METRICS_NOT_IN_A_HEALTHY_RUN = {
    *("relevo_client_fallbacks_total", "relevo_client_sampler_checks_total"),
    *("relevo_probe_checks_total", "relevo_probe_violations_total"),
}
"""Metrics of rules that may be missing as long as all is well."""


class Query(NamedTuple):
    """A query of a panel."""

    panel: str
    legend: str
    expression: str


def queries() -> Iterator[Query]:
    """All queries of the dashboard, as Grafana sends them if all variables are `All`."""
    made: dict[str, Any] = json.loads(dashboard.DASHBOARD.read_text("utf-8"))
    for panel in made["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "60s")
            expression = re.sub(r"\$(server|instance|client)\b", ".+", expression)
            yield Query(panel["title"], target["legendFormat"], expression)


def empty_of(prometheus: Prometheus, expressions: set[str]) -> set[str]:
    """The expressions that have no samples, also some time later: a busy machine misses scrapes."""
    empty = set(expressions)

    def is_none() -> bool:
        empty.difference_update({each for each in empty if prometheus.query(each)})
        return not empty

    with suppress(AssertionError):
        until(is_none, within=30)
    return empty


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus() -> AsyncIterator[Prometheus]:
    """A Prometheus that has scraped a platform which has held conversations."""
    with RedisProcess("--maxmemory", "256mb") as redis:
        async with Platform.running(redis, ENVIRONMENT) as platform:
            with Prometheus(platform.metrics, [RULES]) as prometheus:
                until(prometheus.is_scraped, within=60, what="a scrape of all targets")
                for _ in range(2):
                    for agent in AGENTS:
                        async with platform.conversation(*agent) as conversation:
                            assert not (await conversation.ask()).error
                            assert not (await conversation.ask()).error
                await platform.change(SUPPORT, {"llm_config": {"max_tokens": 50}})
                turns = "sum(rate(relevo_client_resolutions_total[60s])) > 0"
                until(lambda: prometheus.query(turns), within=30, what="rates")
                yield prometheus


def test_every_panel_has_an_answer(prometheus: Prometheus) -> None:
    """Prometheus understands each query of the dashboard, and has data for it."""
    for query in queries():
        prometheus.query(query.expression)  # raises what Prometheus does not understand
    expected = [query for query in queries() if query.panel not in NOT_IN_A_HEALTHY_RUN]
    assert len(expected) > 30
    assert empty_of(prometheus, {query.expression for query in expected}) == set()


def test_every_variable_has_values(prometheus: Prometheus) -> None:
    """The dashboard's variables offer the jobs and instances that there are."""
    made: dict[str, Any] = json.loads(dashboard.DASHBOARD.read_text("utf-8"))
    for variable in made["templating"]["list"]:
        if variable["type"] == "query":
            asked = variable["query"]["query"].replace("$server", ".+")
            [(metric, label)] = re.findall(r"label_values\((.+), (\w+)\)", asked)
            query = f"count by ({label}) ({metric})"
            until(partial(prometheus.query, query), within=30, what=query)


def test_every_rule_is_evaluated(prometheus: Prometheus) -> None:
    """Prometheus evaluates each rule, and has the metrics that it needs."""
    rules = prometheus.rules()
    until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), what="evaluations")
    named = prometheus_names.named_in("\n".join(rule["query"] for rule in rules))
    assert empty_of(prometheus, named - METRICS_NOT_IN_A_HEALTHY_RUN) == set()


def test_no_alert_fires(prometheus: Prometheus) -> None:
    """A healthy platform has no alert."""
    assert prometheus.query('ALERTS{alertstate="firing"}') == []


def test_recorded_ratios(prometheus: Prometheus) -> None:
    """Each recording rule has values."""
    recorded = {rule["name"] for rule in prometheus.rules() if rule["type"] == "recording"}
    assert len(recorded) > 2
    of_failures = {"job:relevo_fallbacks:ratio_rate5m", "job:relevo_rpc_failures:ratio_rate5m"}
    assert empty_of(prometheus, recorded - of_failures) == set()


def test_a_query_of_nothing_is_seen(prometheus: Prometheus) -> None:
    """A metric that nobody exports has no answer, and nonsense is refused."""
    assert prometheus.query("relevo_client_nothing_total") == []
    with pytest.raises(QueryError, match="parse error"):
        prometheus.query("sum(")
