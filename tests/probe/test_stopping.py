"""How a run ends: at once, whatever it does when it is told to, by a signal too."""

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from relevo_client import ContextRef
from relevo_probe import attention as attention_module
from relevo_probe.attention import Attention
from relevo_probe.tenants import Tenants


def _waits(attention: Attention) -> None:
    attention.begin("t")
    attention.wait(0.01)
    attention.end("t")
    attention.tenants()
    attention.wait_for_end(0.01)


def _stopped_at(line: int) -> bool:
    """Stop a run as a signal's handler does, before a line of its waits. Whether there is one."""
    attention, passed, stopped = Attention(), 0, False
    modules = {attention_module.__file__, threading.__file__}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal passed, stopped
        if frame.f_code.co_filename not in modules:
            return None
        if event == "line" and not stopped:
            passed += 1
            if passed > line:
                stopped = True
                attention.stop()
        return trace

    def run() -> None:
        sys.settrace(trace)
        try:
            _waits(attention)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), f"it waits for ever if it is stopped before line {line}"
    assert attention.is_over == stopped
    return stopped


def test_a_signal_at_any_moment() -> None:
    """The handler of a signal may stop a run wherever the thread is that it interrupts."""
    line = 0
    while _stopped_at(line):
        line += 1
    assert line > 20


class Store:
    """A client of a store that stops the run after some Puts."""

    def __init__(self, attention: Attention) -> None:
        self.puts = 0
        self._attention = attention

    def put(self, key: Any, _: Any, **__: Any) -> ContextRef:
        """Count a Put."""
        self.puts += 1
        if self.puts == 3:
            self._attention.stop()
        return ContextRef(key, self.puts)

    def get(self, *_: Any, **__: Any) -> Any:
        """An entry in a partition of its own."""
        return type("Entry", (), {"partition": self.puts})


def _find(tenants: Tenants) -> None:
    tenants.find("probe")


def _check(tenants: Tenants) -> None:
    tenants.must_be_usable([f"probe-{i}" for i in range(100)])


@pytest.mark.parametrize("ask", [_find, _check])
def test_asking_for_tenants(ask: Callable[[Tenants], None]) -> None:
    """A run that is over while the store is asked for tenants sends no further call."""
    attention = Attention()
    store: Any = Store(attention)
    ask(Tenants(store, "run", attention, within=1.0))
    assert store.puts == 3
