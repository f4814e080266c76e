"""If a process forks while its client watches, the child gets an error, and nothing hangs.

Each program really forks. If its child hangs, SIGALRM ends it.
"""

import sys

import pytest
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.snippets import with_unclean_memory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks on Windows")

KEY = ContextKey("conversation", "acme", "c-1")

COMMON = """
import asyncio, os, signal, sys, time
from relevo_client import (
    AsyncContextClient, CacheOptions, ContextClient, ContextKey, ContextRef, ExecutionContext,
    RelevoError,
)

KEY = ContextKey("conversation", "acme", "c-1")

def say(*words):
    print(*words, flush=True)

def local(client, target):
    while (entry := client.peek(target)) is None:
        time.sleep(0.01)
    return entry
"""

BLOCKING = """
inherited = ContextClient(ADDRESS, timeout=5, cache=CacheOptions())
entry = local(inherited, KEY)
inherited.turn_entry(KEY)  # its snapshot is being put
child = os.fork()
if not child:
    signal.alarm(45)
    for ask in (
        lambda: inherited.turn_entry(KEY),
        lambda: inherited.get(KEY),
        lambda: inherited.resolve(entry.ref),
        lambda: inherited.put(KEY, ExecutionContext()),
        lambda: inherited.get_or_create(KEY, lambda _: ExecutionContext()),
    ):
        try:
            ask()
        except RelevoError as error:
            say("child:", error.reason)
    say("child knows", inherited.peek(KEY), inherited.last_known(KEY))
    inherited.close()
    with ContextClient(ADDRESS, timeout=5, cache=CacheOptions()) as own:
        say("child's own:", local(own, KEY).context.user_id)
    sys.exit(0)
say("child ended with", os.waitpid(child, 0)[1])
ref = inherited.update(KEY, {"user_id": "v"})
say("parent:", local(inherited, ref).context.user_id)
"""


def run(store: LocalStore, program: str) -> list[str]:
    """The output of a program that finds the entry of `KEY` in the store."""
    store.client.put(KEY, ExecutionContext(user_id="u"))
    done = with_unclean_memory(f"ADDRESS = {store.address!r}\n{COMMON}\n{program}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_blocking_client(store: LocalStore) -> None:
    """In the child, a parent's client raises CLIENT_FORKED; a client of the child's own works.

    The parent's client continues.
    """
    assert run(store, BLOCKING) == [
        *["child: CLIENT_FORKED"] * 5,
        "child knows None None",
        "child's own: u",
        "child ended with 0",
        "parent: v",
    ]


ASYNCIO = """
def in_child(inherited):
    async def ask(client):
        try:
            say("child:", await client.get(KEY))
        except RelevoError as error:
            say("child:", error.reason)
        say("child knows", client.peek(KEY), client.last_known(KEY))
        await client.close()

    signal.alarm(45)
    for client in (inherited, AsyncContextClient(ADDRESS)):
        asyncio.run(ask(client))
    with ContextClient(ADDRESS, timeout=5) as own:
        say("child's own:", own.get(KEY).context.user_id)

async def main():
    async with AsyncContextClient(ADDRESS, timeout=5, cache=CacheOptions()) as client:
        while client.peek(KEY) is None:
            await asyncio.sleep(0.01)
        status = signal.SIGSEGV
        # gRPC's own, now and then, amid the fork: a crash, or a check of its poller that fails.
        while os.WTERMSIG(status) in (signal.SIGSEGV, signal.SIGABRT):
            read, write = os.pipe()  # what a child said that crashed then does not count
            child = os.fork()
            if not child:
                os.dup2(write, 1)
                in_child(client)
                os._exit(0)
            os.close(write)
            with open(read) as told:
                said = told.read()
            status = os.waitpid(child, 0)[1]
        print(said, end="")
        say("child ended with", status)
        ref = await client.update(KEY, {"user_id": "v"})
        say("parent:", (await client.resolve(ref)).context.user_id)

asyncio.run(main())
"""


def test_an_asyncio_client(store: LocalStore) -> None:
    """In the child, every asyncio client raises CLIENT_FORKED, as gRPC's asyncio cannot fork.

    A blocking client of the child's own works, and the parent's client continues.
    """
    assert run(store, ASYNCIO) == [
        *["child: CLIENT_FORKED", "child knows None None"] * 2,
        "child's own: u",
        "child ended with 0",
        "parent: v",
    ]


UNUSED = """
client = AsyncContextClient(ADDRESS, timeout=5, cache=CacheOptions())

async def main():
    async with client:
        say((await client.resolve(KEY)).context.user_id)
        while client.peek(KEY) is None:
            await asyncio.sleep(0.01)

child = os.fork()
if not child:
    signal.alarm(45)
    asyncio.run(main())
    sys.exit(0)
say("child ended with", os.waitpid(child, 0)[1])
asyncio.run(main())
"""


def test_an_asyncio_client_that_is_used_after_the_fork_only(store: LocalStore) -> None:
    """A client that was unused before the fork works in parent and child, including its cache."""
    assert run(store, UNUSED) == ["u", "child ended with 0", "u"]
