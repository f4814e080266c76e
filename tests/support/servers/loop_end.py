"""Ends an event loop whose server still runs, and prints the calls that core was asked for.

Prints a JSON list: their number before all tasks were cancelled, and after it.
"""

import asyncio
import gc
import json
import os
from typing import Any

from grpc import aio
from grpc_health.v1 import health, health_pb2_grpc
from relevo_server.service.accepting import AT_ONCE, accepting_server
from relevo_server.service.registry import GenericRegistry

from support.waiting import until_async

CHECK = "/grpc.health.v1.Health/Check"


async def _started() -> aio.Server:
    server = accepting_server((), {CHECK})
    servicer = health.aio.HealthServicer()
    registry: Any = GenericRegistry(server)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, registry)
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await until_async(lambda: _pending() > AT_ONCE)
    return server


async def _cancel_all() -> None:
    """Cancel all other tasks, as `asyncio.run` does in the end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _pending() -> int:
    """The states of calls, into which core will write, that exist."""
    gc.collect()
    return sum(type(each).__name__ == "RPCState" for each in gc.get_objects())


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        server = runner.run(_started())
        before = _pending()
        runner.run(_cancel_all())
        print(json.dumps([before, _pending()]), flush=True)
        # grpcio waits for ever for a server that was not stopped.
        os._exit(0)
