"""Marks that tests get by their folder, their fixtures and their imports.

`browser`: it drives a browser. `processes`: it starts processes, or its fixtures do. `quick`:
`make test-quick` runs it.
Other marks stand at the tests themselves.
"""

from collections.abc import Iterable, Sequence
from types import ModuleType

import pytest

from support.rings.groups import group
from support.rings.samples import sampled

FOLDERS = {
    "actions",
    "browser",
    "deploy",
    "e2e",
    "faults",
    "interop",
    "matrix",
    "platform",
    "scale",
    "versions",
}
"""Folders whose tests start processes, or use one that has been started."""
FIXTURES = {"redis_url", "redis_cluster", "pytester"}
"""Fixtures that start processes, or exist to do so."""
MODULES = {
    *("support.python_process", "support.snippets", "support.forking.process"),
    *("support.network.certificates", "support.redis.tls"),
    "support.platform.page",
    *("support.redis.process", "support.redis.cluster", "support.redis.sentinel"),
    *("support.servers.command", "support.servers.process", "support.servers.two_servers"),
    *("support.clients.worker_process", "support.languages.making"),
}
"""Modules that start processes. Whoever imports from one of them is about to."""
SMOKE = "tests/store/test_round_trip.py"
"""The file whose tests are quick on a real Redis too."""
_NOT_QUICK = ("processes", "redis", "timing", "long")


def mark(items: Sequence[pytest.Item]) -> None:
    """Mark all tests of a run."""
    for item in items:
        if _folder(item) == "browser":
            item.add_marker("browser")
        if _starts_processes(item):
            item.add_marker("processes")
        shared = group(item)
        if shared:
            item.add_marker(pytest.mark.xdist_group(shared))
    candidates = [item for item in items if _is_smoke(item) or not _has_any(item, _NOT_QUICK)]
    for item in sampled(candidates):
        item.add_marker("quick")


def must_not_start_processes(item: pytest.Item) -> bool:
    """Whether a test is quick, and not there to use the real Redis."""
    return _has_any(item, ("quick",)) and not _is_smoke(item)


def _starts_processes(item: pytest.Item) -> bool:
    module = getattr(item, "module", None)
    return (
        _folder(item) in FOLDERS
        or not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
        or _parameter(item, "store_url") == "redis"
        or bool(module and _imports_any(module))
    )


def _folder(item: pytest.Item) -> str:
    return item.nodeid.split("/")[1]


def _parameter(item: pytest.Item, name: str) -> object:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(name) if callspec else None


def _imports_any(module: ModuleType) -> bool:
    return any(getattr(each, "__module__", None) in MODULES for each in vars(module).values())


def _has_any(item: pytest.Item, marks: Iterable[str]) -> bool:
    return any(item.get_closest_marker(each) for each in marks)


def _is_smoke(item: pytest.Item) -> bool:
    return item.nodeid.startswith(SMOKE) and not _has_any(item, ("timing", "long"))
