"""`relevo-run` runs programs that know nothing of Relevo's wiring, with their contexts."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from relevo_client import ContextKey, ContextRef, ExecutionContext
from relevo_client._instrument.settings import VARIABLES
from relevo_client.testing import LocalStore
from relevo_server.settings import Settings as ServerSettings
from support.servers.outcome import Outcome
from support.waiting import until

COMMAND = str(Path(sys.executable).with_name("relevo-run"))
KEY = ContextKey("conversation", "acme", "c-1")

SERVICE = """
import asyncio, json, multiprocessing, os, sys
from concurrent.futures import ThreadPoolExecutor
from grpc import insecure_channel, server, unary_unary_rpc_method_handler
from grpc import method_handlers_generic_handler as of_service
from grpc import aio
from grpc.aio import insecure_channel as aio_channel, server as aio_server

METHOD = "/shop.v1.Orders/Place"
CARRIED = (("context-key", os.environ["KEY"]), ("context-revision", "1"))

def say(word, value):
    print(json.dumps([word, value]), flush=True)

def user():
    from relevo_client import current_context
    now = current_context()
    return now and now.user_id

def handlers(place):
    return (of_service("shop.v1.Orders", {"Place": unary_unary_rpc_method_handler(place)}),)

def blocking(word):
    inner, outer = [], server(ThreadPoolExecutor(2))
    port = outer.add_insecure_port("127.0.0.1:0")
    own = insecure_channel(f"127.0.0.1:{port}")
    place = own.unary_unary(METHOD)

    def handler(request, context):
        if request == b"first":
            return place(b"second")  # the reference goes on, by a channel that nobody wrapped
        return json.dumps(user()).encode()

    outer.add_generic_rpc_handlers(handlers(handler))
    outer.start()
    say(word, json.loads(place(b"first", metadata=CARRIED)))
    own.close()
    outer.stop(None).wait()

async def asynchronous():
    outer = aio_server()
    port = outer.add_insecure_port("127.0.0.1:0")
    async with aio_channel(f"127.0.0.1:{port}") as own:
        place = own.unary_unary(METHOD)

        async def handler(request, context):
            if request == b"first":
                return await place(b"second")
            return json.dumps(user()).encode()

        outer.add_generic_rpc_handlers(handlers(handler))
        await outer.start()
        say("asyncio", json.loads(await place(b"first", metadata=CARRIED)))
        await outer.stop(None)

if __name__ == "__main__":
    spawned = multiprocessing.get_context("spawn").Process(target=blocking, args=("spawned",))
    spawned.start()
    spawned.join()
    blocking("blocking")
    asyncio.run(asynchronous())
    sys.exit(7)
"""

APPLICATION = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from relevo_client import require_context

async def see(request):
    return JSONResponse(require_context().user_id)

app = Starlette(routes=[Route("/", see)])
"""


@pytest.fixture(scope="module")
def store() -> Iterator[LocalStore]:
    """A store with a conversation."""
    with LocalStore() as store:
        yield store


@pytest.fixture
def ref(store: LocalStore) -> ContextRef:
    """The reference of a conversation whose user is u-1."""
    return store.client.put(KEY, ExecutionContext(tenant_id="acme", user_id="u-1"))


def environment(**variables: str) -> Mapping[str, str]:
    """The tests' environment without Relevo's variables, and with these."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
    return {**inherited, "GRPC_VERBOSITY": "NONE", **variables}  # else a server's stop is logged


def relevo_run(*words: str, **variables: str) -> Outcome:
    """Run `relevo-run` to its end."""
    done = subprocess.run(
        [COMMAND, *words],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Whether a process, which must still run, has begun to listen."""
    assert process.poll() is None, "it has ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_service(tmp_path: Path, store: LocalStore, ref: ContextRef) -> None:
    """A program that imports nothing of Relevo's wiring has its contexts, and its own exit code.

    Its names of gRPC's functions are its own, its servers of both kinds resolve, its channels pass
    references on, and so do those of the processes that it spawns. It ends without a word.
    """
    program = tmp_path / "service.py"
    program.write_text(SERVICE)
    outcome = relevo_run(
        sys.executable,
        str(program),
        RELEVO_TARGET=store.address,
        RELEVO_TIMEOUT="10",
        RELEVO_TRUST_CALLERS="true",
        KEY=ref.key.text,
    )
    assert outcome.err == ""
    assert [json.loads(line) for line in outcome.out.splitlines()] == [
        ["spawned", "u-1"],
        ["blocking", "u-1"],
        ["asyncio", "u-1"],
    ]
    assert outcome.code == 7


def test_an_application(tmp_path: Path, store: LocalStore, ref: ContextRef, port: int) -> None:
    """`relevo-run uvicorn service:app` serves an application whose requests have their contexts."""
    (tmp_path / "service.py").write_text(APPLICATION)
    uvicorn = [sys.executable, "-m", "uvicorn", "--log-level", "warning", "--port", str(port)]
    with subprocess.Popen(
        [COMMAND, *uvicorn, "service:app"],
        cwd=tmp_path,
        env=environment(RELEVO_TARGET=store.address, RELEVO_TRUST_IDENTITY="true"),
    ) as process:
        try:
            until(lambda: listens(process, port), within=100)
            names = {"X-Tenant-ID": ref.key.tenant_id, "X-Conversation-ID": ref.key.id}
            answer = httpx.get(f"http://127.0.0.1:{port}/", headers=names, timeout=30)
        finally:
            process.terminate()
    assert (answer.status_code, answer.json()) == (200, "u-1")


def test_a_program_without_the_libraries(tmp_path: Path) -> None:
    """A program that uses none of the libraries does not import them, or Relevo's client.

    A `sitecustomize` of the machine is still run, and so is that of another tool.
    """
    (tmp_path / "sitecustomize.py").write_text("HAS_RUN = True\n")
    program = (
        "import sys; print([each for each in ('grpc', 'pydantic', 'relevo_client', 'starlette')"
        " if each in sys.modules], sys.modules['sitecustomize'].HAS_RUN)"
    )
    outcome = relevo_run(
        sys.executable, "-c", program, RELEVO_TARGET="127.0.0.1:1", PYTHONPATH=str(tmp_path)
    )
    assert outcome == Outcome(0, "[] True\n", "")


def test_a_wrong_setting() -> None:
    """Settings that are wrong end it before the program starts; the error names the variables."""
    outcome = relevo_run(sys.executable, "-c", "print('started')", RELEVO_TIMEOUT="s3cret")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("relevo-run: timeout (RELEVO_TIMEOUT): ")
    assert len(outcome.err.splitlines()) == 1
    assert "s3cret" not in outcome.err


def test_a_misspelt_variable() -> None:
    """A variable that resembles a setting is named, and the program runs; a server's is none."""
    others = {f"RELEVO_{name.upper()}": "x" for name in ServerSettings.model_fields}
    others = {name: value for name, value in others.items() if name not in VARIABLES.values()}
    known = {"RELEVO_TARGET": "localhost:1", "RELEVO_TRUST_CALLER": "true"}
    outcome = relevo_run(sys.executable, "-c", "print(1)", **known, **others)
    assert (outcome.code, outcome.out) == (0, "1\n")
    expected = "RELEVO_TRUST_CALLER is not a setting; did you mean RELEVO_TRUST_CALLERS?"
    assert outcome.err.splitlines() == [f"relevo-run: {expected}"]


def test_wrong_usage() -> None:
    """Without a command it shows its usage; a command that is not there has the shell's code."""
    nothing, flag = relevo_run(), relevo_run("--nonsense")
    assert (nothing.code, flag.code) == (2, 2)
    assert nothing.err.startswith("usage: relevo-run COMMAND")
    assert relevo_run("--help").out == nothing.err
    missing = relevo_run("no-such-command")
    assert missing == Outcome(127, "", "relevo-run: no-such-command: command not found\n")
