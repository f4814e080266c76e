"""A near-cache hit costs the same with and without an SDK, to the instruction."""

from support.python_process import PythonProcess, python_process

PROGRAM = "support.clients.peeking"


def test_instructions() -> None:
    """A hit of `peek` runs the same instructions with an SDK, and none of telemetry's.

    The counter of hits is an integer of the cache, which is read when metrics are collected.
    """
    with python_process(PROGRAM) as without, python_process(PROGRAM, "sdk") as with_sdk:
        assert _lines(without) == _lines(with_sdk)
    for kind, instructions, modules in without.lines:
        assert kind in ("asyncio", "blocking")
        assert 0 < instructions < 500
        assert "relevo_client._near_cache.machine" in modules
        assert not any("opentelemetry" in each or "_telemetry" in each for each in modules)


def _lines(process: PythonProcess) -> list[object]:
    assert process.wait(60) == 0
    assert len(process.lines) == 2
    return process.lines
