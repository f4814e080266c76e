"""`--workers auto`: the cores that this process may use."""

import os
from pathlib import Path

import pytest
from relevo_server.cli.workers.cores import usable_cores

_ALL = len(os.sched_getaffinity(0))


def cores(tmp_path: Path, cgroup: str, **files: str) -> int:
    """The usable cores in a cgroup, with these files below the root; `__` stands for `/`."""
    own, root = tmp_path / "cgroup", tmp_path / "root"
    own.write_text(cgroup)
    for name, content in files.items():
        file = root / name.replace("__", "/").replace("_max", ".max").replace("cpu_cfs", "cpu.cfs")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return usable_cores(own, root)


def test_a_host_without_limits(tmp_path: Path) -> None:
    """Without a quota, there are as many as the affinity allows."""
    assert usable_cores(tmp_path / "none", tmp_path) == _ALL
    assert cores(tmp_path, "0::/\n", cpu_max="max 100000\n") == _ALL


@pytest.mark.parametrize("quota, expected", [(50_000, 1), (190_000, 1), (10**9, _ALL)])
def test_a_quota(tmp_path: Path, quota: int, expected: int) -> None:
    """A quota counts in whole cores, at least one, and never more than there are."""
    assert cores(tmp_path, "0::/\n", cpu_max=f"{quota} 100000\n") == expected


def test_a_quota_of_an_outer_group(tmp_path: Path) -> None:
    """The least quota counts, of the own group and of those around it."""
    files = {"a__b__cpu_max": "max 100000\n", "a__cpu_max": "100000 100000\n"}
    assert cores(tmp_path, "0::/a/b\n", **files) == 1


def test_version_1(tmp_path: Path) -> None:
    """The older cgroups have a quota in two files; -1 is none."""
    group = "4:cpu,cpuacct:/x\n3:memory:/x\n"
    files = {"cpu__x__cpu_cfs_quota_us": "100000\n", "cpu__x__cpu_cfs_period_us": "100000\n"}
    assert cores(tmp_path, group, **files) == 1
    assert cores(tmp_path, group, **{**files, "cpu__x__cpu_cfs_quota_us": "-1\n"}) == _ALL
