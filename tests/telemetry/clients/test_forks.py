"""A forked process counts from 0: its parent tells what was before."""

import sys

import pytest
from relevo_client import ContextClient, ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.snippets import with_unclean_memory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks on Windows")

PROGRAM = """
import os, signal, sys, time
from relevo_client import ContextClient, ContextKey
from support.telemetry.recorded import meters

KEY = ContextKey("conversation", "acme", "c-1")

def told(who):
    now = meters().figures()
    print(who, *(int(now.total(f"relevo.client.{name}")) for name in (
        "resolutions", "near_cache.lookups", "watch.connected")), flush=True)

def resolve(client):
    client.resolve(KEY)
    while not client._watcher.figures().is_connected:
        time.sleep(0.01)

inherited = ContextClient(ADDRESS, timeout=20)
for _ in range(2):
    inherited.resolve(KEY, fresh=True)
resolve(inherited)
told("parent")
if not os.fork():
    signal.alarm(60)
    told("child")
    with ContextClient(ADDRESS, timeout=20) as own:
        resolve(own)
        told("child")
    os._exit(0)
print("child ended with", os.wait()[1])
told("parent")
inherited.close()
"""

UNUSED = """
import asyncio, os, signal
from relevo_client import AsyncContextClient, ContextKey
from support.telemetry.recorded import meters

async def use(client):
    async with client:
        await client.resolve(ContextKey("conversation", "acme", "c-1"))

client = AsyncContextClient(ADDRESS, timeout=20)
if not os.fork():
    signal.alarm(60)
    asyncio.run(use(client))
    print(int(meters().figures().total("relevo.client.near_cache.lookups")), flush=True)
    os._exit(0)
print("child ended with", os.wait()[1])
"""


def test_a_client_that_the_child_uses() -> None:
    """A client that was made before the fork, and is used only in the child, counts there."""
    with LocalStore() as store, ContextClient(store.address, timeout=10) as client:
        client.put(ContextKey("conversation", "acme", "c-1"), ExecutionContext(user_id="u"))
        done = with_unclean_memory(f"ADDRESS = {store.address!r}\n{UNUSED}")
    assert done.stdout.splitlines() == ["1", "child ended with 0"], done.stderr


def test_a_child_counts_from_0() -> None:
    """Neither the counters nor the caches of the parent are in the child's metrics."""
    with LocalStore() as store, ContextClient(store.address, timeout=10) as client:
        client.put(ContextKey("conversation", "acme", "c-1"), ExecutionContext(user_id="u"))
        done = with_unclean_memory(f"ADDRESS = {store.address!r}\n{PROGRAM}")
    assert done.stdout.splitlines() == [
        "parent 3 1 1",
        "child 0 0 0",
        "child 1 1 1",
        "child ended with 0",
        "parent 3 1 1",
    ], done.stderr
