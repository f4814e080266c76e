"""A process that forks has an instrumentation that works on both sides."""

import sys

import pytest
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.snippets import with_unclean_memory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks on Windows")

PROGRAM = """
import os, signal, sys, warnings
from concurrent.futures import ThreadPoolExecutor
import grpc
from relevo_client import ContextKey, current_context, instrument

def say(*words):
    print(*words, flush=True)

def place(request, context):
    return current_context().user_id.encode()

def served():
    server = grpc.server(ThreadPoolExecutor(1))
    handlers = {"Place": grpc.unary_unary_rpc_method_handler(place)}
    generic = grpc.method_handlers_generic_handler("shop.Orders", handlers)
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        metadata = (("context-key", KEY.text), ("context-revision", "1"))
        answer = channel.unary_unary("/shop.Orders/Place")(b"?", metadata=metadata)
    server.stop(5).wait()  # the core logs a GOAWAY of a server that ends calls
    return answer.decode()

KEY = ContextKey("conversation", "acme", "c-1")
mine = instrument(target=ADDRESS, timeout=5, trust_callers=True)
inherited = mine.client()
say("parent:", inherited.get(KEY).context.user_id)
warnings.simplefilter("ignore")  # from 3.12 on, Python warns of forks beside threads
child = os.fork()
if not child:
    signal.alarm(45)
    say("child has its own:", instrument() is mine, mine.client() is not inherited)
    say("child:", served())
    sys.exit(0)
say("child ended with", os.waitpid(child, 0)[1])
say("parent:", served(), mine.client() is inherited)
"""


def test_a_forked_worker() -> None:
    """A forked process has a client of its own, and its servers their contexts; so has the parent.

    Both end without a word, though nobody closes the clients.
    """
    with LocalStore() as store:
        key = ContextKey("conversation", "acme", "c-1")
        store.client.put(key, ExecutionContext(tenant_id="acme", user_id="u-1"))
        done = with_unclean_memory(f"ADDRESS = {store.address!r}\n{PROGRAM}")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "parent: u-1",
        "child has its own: True True",
        "child: u-1",
        "child ended with 0",
        "parent: u-1 True",
    ]
