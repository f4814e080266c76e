"""A small fleet with a probe on it: two servers over one Redis, which may lose parts of its logs.

`python -m probe.fleet` prints the summary of a probe that stops at the first violation.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from relevo_probe.probe import Options, Probe
from relevo_probe.summary import Summary
from support.redis.process import RedisProcess
from support.servers.process import relevo_serve

PARTITIONS = 8
_EMPTIED_EVERY = 0.005
"""Seconds between two times at which all logs are emptied: often before a server has read all."""
_EMPTIED_FOR, _LEFT_FOR = 0.3, 1.2
"""Seconds for which that happens again and again, and then does not."""


@contextmanager
def fleet(*, is_trimmed: bool = False) -> Generator[list[str]]:
    """The servers' addresses. With `is_trimmed`, logs lose events that servers have not read."""
    flags = ("--partitions", str(PARTITIONS))
    with (
        RedisProcess() as redis,
        relevo_serve("--store", redis.url, *flags) as first,
        relevo_serve("--store", redis.url, *flags) as second,
    ):
        addresses = [first.address, second.address]
        if is_trimmed:
            with _emptied_logs(redis):
                yield addresses
        else:
            yield addresses


@contextmanager
def _emptied_logs(redis: RedisProcess) -> Generator[None]:
    over = threading.Event()

    def trim() -> None:
        with redis.client() as client:
            end = time.monotonic() + _EMPTIED_FOR
            while not over.wait(_EMPTIED_EVERY):
                if time.monotonic() >= end:
                    over.wait(_LEFT_FOR)
                    end = time.monotonic() + _EMPTIED_FOR
                for partition in range(PARTITIONS):
                    client("XTRIM", f"{{relevo:{partition}}}:log", "MAXLEN", 0)

    thread = threading.Thread(target=trim)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> int:
    """Print what a probe finds, as JSON. Returns the exit code of the probe."""
    parser = argparse.ArgumentParser(prog="python -m probe.fleet", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--trimmed", action="store_true", help="logs lose events")
    parser.add_argument("--go-on", action="store_true", help="do not stop at a violation")
    arguments = parser.parse_args()
    summary = _probed(
        arguments.seconds, is_trimmed=arguments.trimmed, stop_at_violation=not arguments.go_on
    )
    json.dump(summary.document(), sys.stdout)
    return summary.exit_code


def _probed(seconds: float, *, is_trimmed: bool, stop_at_violation: bool) -> Summary:
    with fleet(is_trimmed=is_trimmed) as addresses:
        probe = Probe(Options(addresses, rate=10.0))
        return probe.run(seconds, stop_at_violation=stop_at_violation, every=0.1)


if __name__ == "__main__":
    sys.exit(main())
