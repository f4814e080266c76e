"""Runs a Redis without persistence on a loopback port: `python -m nooble.redis_server`."""

import argparse
import asyncio
import subprocess
import sys
import tempfile

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotReadyError

from nooble.ports import ANYWHERE, reserved
from nooble.redis_binary import NoRedisError, binary
from nooble.services.running import announce, until_stopped

_PAUSE = 0.02


async def main(listen: str) -> None:
    """Run Redis until SIGTERM. `listen` is its address; port 0 for a free one."""
    with (
        reserved(int(listen.rpartition(":")[2])) as bound,
        tempfile.TemporaryDirectory(prefix="nooble-redis-") as directory,
    ):
        port = bound.getsockname()[1]
        command = [binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        process = await asyncio.create_subprocess_exec(
            *command, "--dir", directory, stdout=subprocess.DEVNULL
        )
        try:
            await _until_it_answers(port, process)
            announce(f"127.0.0.1:{port}")
            await until_stopped()
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _until_it_answers(port: int, process: asyncio.subprocess.Process) -> None:
    async with Redis(port=port) as client:
        while True:
            if process.returncode is not None:
                raise NoRedisError(f"redis-server ended with {process.returncode}")
            try:
                await client.ping()  # pyright: ignore[reportUnknownMemberType]
            except NotReadyError:
                await asyncio.sleep(_PAUSE)  # Redis sends no signal when it listens
            else:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default=ANYWHERE)
    try:
        asyncio.run(main(parser.parse_args().listen))
    except NoRedisError as error:
        sys.exit(str(error))
