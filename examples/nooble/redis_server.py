"""Runs a Redis without persistence on a free loopback port: `python -m nooble.redis_server`."""

import asyncio
import socket
import subprocess
import sys
import tempfile

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NotReadyError

from nooble.redis_binary import NoRedisError, binary
from nooble.services.running import announce, until_stopped

_PAUSE = 0.02


async def main() -> None:
    """Run Redis until SIGTERM."""
    with _reserved() as bound, tempfile.TemporaryDirectory(prefix="nooble-redis-") as directory:
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


def _reserved() -> socket.socket:
    """A bound socket that reserves a free port. It does not listen, so Redis can."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except NoRedisError as error:
        sys.exit(str(error))
