"""What all benchmarks of one run share."""

import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from support.redis.client import RedisClient
from support.redis.process import RedisProcess

from benchmarks.cores import Cores
from benchmarks.rounds import Schedule


@dataclass(frozen=True)
class Run:
    """One run of the benchmarks."""

    schedule: Schedule
    cores: Cores
    redis: str
    """The URL of a Redis, the same for all."""
    redis_client: RedisClient
    prefix: str
    """What the names of the run's keys in Redis begin with."""


@contextmanager
def begin(schedule: Schedule, cores: Cores) -> Generator[Run, None, None]:
    """A run on the Redis of RELEVO_TEST_REDIS, else on one that ends with it."""
    given = os.environ.get("RELEVO_TEST_REDIS")
    if given:
        with _on(given, schedule, cores) as run:
            yield run
    else:
        with RedisProcess() as process, _on(process.url, schedule, cores) as run:
            yield run


@contextmanager
def _on(url: str, schedule: Schedule, cores: Cores) -> Generator[Run, None, None]:
    prefix = f"bench-{uuid.uuid4().hex}"
    with RedisClient(url) as client:
        try:
            yield Run(schedule, cores, url, client, prefix)
        finally:
            client.forget(prefix)
