"""A small fleet with a probe on it: two servers over one Redis, of which one may be paused.

`python -m probe.fleet` prints the summary of a probe that stops at the first violation.
"""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from relevo_probe.probe import Options, Probe
from relevo_probe.summary import Summary
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve

PARTITIONS = 4
_SHORT_LOG = ("--stream-node-max-entries", "2")
_PAUSE, _PAUSED = 1.5, 0.6


@contextmanager
def fleet(*, is_trimmed: bool = False) -> Generator[list[str]]:
    """The servers' addresses.

    With `is_trimmed`, logs keep very few events, and the first server is paused now and then: when
    it goes on, the log has lost some that it has not read.
    """
    flags = ("--partitions", str(PARTITIONS), *(("--log-length", "4") if is_trimmed else ()))
    with (
        RedisProcess(*(_SHORT_LOG if is_trimmed else ())) as redis,
        relevo_serve("--store", redis.url, *flags) as first,
        relevo_serve("--store", redis.url, *flags) as second,
        _paused_now_and_then(first) if is_trimmed else _unharmed(),
    ):
        yield [first.address, second.address]


@contextmanager
def _unharmed() -> Generator[None]:
    yield


@contextmanager
def _paused_now_and_then(server: RelevoProcess) -> Generator[None]:
    over = threading.Event()

    def pause() -> None:
        while not over.wait(_PAUSE):
            server.signal(signal.SIGSTOP)
            over.wait(_PAUSED)
            server.signal(signal.SIGCONT)

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def probed(seconds: float, *, is_trimmed: bool = False, stop_at_violation: bool = True) -> Summary:
    """What a probe finds in a fleet of its own."""
    with fleet(is_trimmed=is_trimmed) as addresses:
        probe = Probe(Options(addresses, rate=2.0))
        return probe.run(seconds, stop_at_violation=stop_at_violation, every=0.1)


def main() -> int:
    """Print what a probe finds, as JSON. Returns the exit code of the probe."""
    parser = argparse.ArgumentParser(prog="python -m probe.fleet", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--trimmed", action="store_true")
    parser.add_argument("--go-on", action="store_true", help="do not stop at a violation")
    arguments = parser.parse_args()
    summary = probed(
        arguments.seconds,
        is_trimmed=arguments.trimmed,
        stop_at_violation=not arguments.go_on,
    )
    json.dump(summary.document(), sys.stdout)
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())
