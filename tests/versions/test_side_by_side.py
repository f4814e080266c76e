"""Servers, clients and services of this version beside those of the last two releases.

So a fleet can be upgraded, or go back, one process after the other, over the same Redis.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
from support.languages.making import missing
from support.redis.process import RedisProcess
from support.servers.process import relevo_serve
from versions import driver
from versions.releases import COUNT, Release, commits, release

pytestmark = pytest.mark.timeout(300)
DRIVER = Path(driver.__file__)
PLAYED = [
    "resolved, and kept",
    "a change was pushed",
    "snapshots, leases, conditions and batches",
    "an Invalidate was pushed",
    "the tenant's end was pushed",
]

each_client = pytest.mark.parametrize("is_old", [True, False], ids=["old client", "new client"])


class Sides(NamedTuple):
    """A server of a release and one of this version, over one Redis."""

    release: Release
    old: str
    new: str


@pytest.fixture(scope="module", params=range(COUNT), ids=["last release", "the one before"])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    """Both servers."""
    reason = missing("other versions", ("git",))
    if reason and not os.environ.get("CI"):
        pytest.skip(reason)
    other = release(request.param)
    with (
        RedisProcess() as redis,
        relevo_serve("--store", redis.url, environment=other.environment, fresh=True) as old,
        relevo_serve("--store", redis.url) as new,
    ):
        yield Sides(other, old.address, new.address)


@contextmanager
def driving(
    other: Release, *arguments: str, is_old: bool
) -> Generator[tuple["subprocess.Popen[str]", IO[str]]]:
    """Run the driver with the packages of one side, and see that it has these."""
    with subprocess.Popen(
        [sys.executable, str(DRIVER), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(other.environment if is_old else {})},
    ) as process:
        assert process.stdout
        try:
            packages = json.loads(process.stdout.readline())["packages"]
            assert Path(packages).is_relative_to(other.packages) == is_old
            yield process, process.stdout
        finally:
            if process.stdin:
                process.stdin.close()
            process.wait(30)


def driven(other: Release, *arguments: str, is_old: bool) -> list[Any]:
    """What the driver has done, to its end."""
    with driving(other, *arguments, is_old=is_old) as (process, out):
        done = [json.loads(line)["done"] for line in out]
    assert process.returncode == 0
    return done


@each_client
def test_one_store_behind_two_versions(sides: Sides, is_old: bool) -> None:
    """What is written through a server of one version, a client of it at the other one sees.

    That is entries, layers, pushed changes, snapshots, leases, conditions and ends.
    """
    own, other = (sides.old, sides.new) if is_old else (sides.new, sides.old)
    assert driven(sides.release, "play", own, other, is_old=is_old) == PLAYED


@each_client
def test_services_of_two_versions(sides: Sides, is_old: bool) -> None:
    """A reference, and a snapshot, reach a service of the other version, and resolve there.

    The caller puts them through a server of the other version, the service resolves through one.
    """
    own, other = (sides.old, sides.new) if is_old else (sides.new, sides.old)
    with driving(sides.release, "serve", own, is_old=not is_old) as (_, out):
        service = f"127.0.0.1:{json.loads(out.readline())['port']}"
        done = driven(sides.release, "call", other, service, is_old=is_old)
    assert done == ["calls, and a snapshot"]


def test_which_releases() -> None:
    """The last two tags count, but not that of this version; commits stand in for missing ones."""
    tags = [("v0.3.0", "c"), ("v0.2.0", "b"), ("v0.1.0", "a")]
    assert commits(tags, "c") == [("v0.2.0", "b"), ("v0.1.0", "a")]
    assert commits(tags, "later") == [("v0.3.0", "c"), ("v0.2.0", "b")]
    (first, (name, commit)) = commits(tags[2:], "later")
    assert first == ("v0.1.0", "a")
    assert commit.startswith(name)
    assert len(commits([], "later")) == COUNT
