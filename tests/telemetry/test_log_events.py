"""The events of the server's log are those of docs/observability.md, with the same fields."""

import ast
import asyncio
import gc
import io
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from relevo_server import logs
from support.logs import restored_logs
from support.telemetry.table import PAGE

SERVER = Path(__file__).parents[2] / "server/relevo_server"
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
LIBRARY = "library.message"
SECRET = "s3cret-value"  # noqa: S105
_CODE = re.compile(r"`([^`]+)`")


class Event(NamedTuple):
    """An event's level, and the names of its fields."""

    level: str
    fields: frozenset[str]


def documented() -> dict[str, Event]:
    """The events of the page."""
    section = PAGE.read_text("utf-8").split("\n## Log events of the server\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    return {
        name.strip("`"): Event(level, frozenset(_CODE.findall(fields)))
        for name, level, fields, _ in rows
    }


def logged() -> Iterator[tuple[str, Event]]:
    """The events that the code logs, from each call of `log`."""
    for path in sorted(SERVER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=target, attr=level)) if (
                    level in LEVELS and ast.unparse(target) in {"log", "logs.log"}
                ):
                    (name,) = node.args
                    assert isinstance(name, ast.Constant), f"{path.name}: {ast.unparse(node)}"
                    fields = frozenset(str(each.arg) for each in node.keywords)
                    yield str(name.value), Event(level, fields)
                case _:
                    pass


def test_every_event_is_on_the_page() -> None:
    """Every event of the code is documented with its level and fields, and no other is."""
    found: dict[str, set[Event]] = defaultdict(set)
    for name, event in logged():
        found[name].add(event)
    assert len(found) > 15
    assert found == {name: {event} for name, event in documented().items() if name != LIBRARY}


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """What is logged as in a process that is only a server; afterwards logs are as before."""
    with restored_logs():
        logs.configure("debug", "json")
        (handler,) = logging.getLogger("relevo_server").handlers
        printed = io.StringIO()
        stream: Any = handler  # a StreamHandler
        stream.setStream(printed)
        yield printed


async def fail_unseen() -> None:
    """Let a task fail whose exception nobody retrieves."""

    async def fail() -> None:
        raise ValueError(SECRET)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()


def test_libraries_log_in_the_same_way(printed: io.StringIO) -> None:
    """What asyncio and gRPC log is one JSON object a line, without the texts of exceptions."""
    asyncio.run(fail_unseen())
    logging.getLogger("grpc._cython.cygrpc").warning("Unexpected %s\n%s", "thing", SECRET)
    logging.getLogger("grpc").info("not of interest")
    assert SECRET not in printed.getvalue()
    failed, message = map(json.loads, printed.getvalue().splitlines())
    assert failed["event"] == message["event"] == LIBRARY
    expected = {"event", "level", "timestamp", *documented()[LIBRARY].fields}
    assert failed.keys() == expected
    assert (failed["logger"], failed["level"]) == ("asyncio", "error")
    assert failed["message"] == "Task exception was never retrieved"
    assert failed["where"].startswith("ValueError in fail:")
    assert message.keys() == expected - {"where"}
    assert (message["logger"], message["message"]) == ("grpc._cython.cygrpc", "Unexpected thing")
