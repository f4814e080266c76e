"""Which tests run in one process, one after another, while several processes run tests."""

from typing import Any

import pytest


def group(item: pytest.Item) -> str | None:
    """The group of a test; None if it may run in any process.

    Tests that share what is made once for a module, or for a variant of it, are a group. So
    are those on the Redis Cluster, which would be started in every process otherwise.
    """
    test: Any = item  # pytest says nowhere else which scopes a test's fixtures have
    fixtures: dict[str, Any] = test._fixtureinfo.name2fixturedefs
    if "redis_cluster" in fixtures:
        return "redis_cluster"
    shared = {name for name, found in fixtures.items() if found[-1].scope == "module"}
    if not shared:
        return None
    callspec: Any = getattr(item, "callspec", None)
    variants = callspec.indices.items() if callspec else ()
    file = item.nodeid.partition("::")[0]
    return "-".join([file, *(f"{name}-{i}" for name, i in variants if name in shared)])
