"""The memory of a large answer is there for the next one."""

import platform
from pathlib import Path

import pytest
from relevo.v1.store_pb2 import BatchGetRequest
from support.clients.calls import TIMEOUT
from support.clients.hostile import fill
from support.servers.process import relevo_serve
from support.servers.serving import stub_of

ANSWERS = 20
LAYERS, SIZE = 14, 256 << 10
"""An answer has as many entries of this size, and one more: nearly 4 MiB, or 1,000 pages."""


def faults_of(pid: int) -> int:
    """The pages that a process has faulted in without I/O since it began."""
    stat = Path("/proc", str(pid), "stat").read_text()
    return int(stat.rpartition(")")[2].split()[7])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
async def test_pages_are_not_faulted_in_anew() -> None:
    """Once a server has made an answer of 4 MiB, another one takes few new pages.

    Each was some 2,800 pages that the kernel had to clear, amid a turn of the event loop.
    """
    with relevo_serve("--store", "memory://", "--insecure") as server:
        async with stub_of(server.address) as stub:
            gets = await fill(stub, "", 1, LAYERS, SIZE)

            async def answer() -> None:
                await stub.BatchGet(BatchGetRequest(requests=gets), timeout=TIMEOUT)

            for _ in range(3):
                await answer()
            before = faults_of(server.process.pid)
            for _ in range(ANSWERS):
                await answer()
            each = (faults_of(server.process.pid) - before) / ANSWERS
    print(f"{each:.0f} pages for each answer")
    assert each < 500
