"""The resources that all benchmarks of one run share."""

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
    """The URL of the Redis server, the same for all benchmarks."""
    redis_client: RedisClient
    prefix: str
    """The prefix of the run's keys in Redis."""


@contextmanager
def begin(schedule: Schedule, cores: Cores) -> Generator[Run, None, None]:
    """Start a run on the Redis of RELEVO_TEST_REDIS, else on one that ends with the run."""
    url = os.environ.get("RELEVO_TEST_REDIS")
    if url:
        with _on(url, schedule, cores) as run:
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
