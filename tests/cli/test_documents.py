"""JSON of users: what is no context is refused, however it is nested."""

import json
from typing import Any

import pytest
from relevo.v1.store_pb2 import PutRequest
from relevo_cli.documents import read_context
from relevo_cli.failures import UsageError


def test_json_that_is_deeper_than_python_recurses(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON that the json module can read, but Python code cannot walk through, is refused.

    From Python 3.12 on the module's limit is another one than that of Python code.
    """
    nested: Any = 1
    for _ in range(5000):
        nested = [nested]

    def loads(_: str) -> Any:
        return {"llm_config": nested}

    monkeypatch.setattr(json, "loads", loads)
    with pytest.raises(UsageError, match="context: is nested too deeply"):
        read_context("", PutRequest())
