"""A service whose metrics and traces are exported. Relevo needs nothing but an SDK."""

import asyncio
import json
from typing import Any

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, require_entry

STORE, METRICS_PORT = "localhost:7390", 9465
KEY = ContextKey("conversation", "acme", "c-1")


def provenance() -> dict[str, Any]:
    """The parts of the current context for log lines: names and numbers, never values."""
    entry = require_entry()
    return {
        "context": str(entry.key),
        "revision": entry.revision,
        "source": entry.source.value,
        "is_stale": entry.is_stale,
        "layers": [f"{layer.key}@{layer.version}" for layer in entry.layers],
    }


async def main() -> None:
    """Work with a context a few times, and keep the metrics on show until Ctrl-C."""
    metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
    start_http_server(METRICS_PORT, "127.0.0.1")
    async with AsyncContextClient(STORE) as contexts:
        await contexts.put(KEY, ExecutionContext(user_id="u-1"))
        for _ in range(3):
            async with contexts.turn(KEY):
                print(json.dumps(provenance()), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
