"""Running drivers: one process for each language and backend, which makes every check."""

import asyncio
import json
import uuid
from asyncio.subprocess import PIPE

from interop.building import Driver
from interop.checks import CHECKS, HERE
from interop.scene import scene

NOBODYS = "nobody.has_this"
"""A check that no driver implements."""

_SECONDS = 100


async def problems(driver: Driver, store_url: str) -> dict[str, str | None]:
    """The problem of each check as a driver reports it, or None if the check holds."""
    command = await asyncio.to_thread(driver.command)
    async with scene(store_url) as addresses:
        environment = {**addresses, "data": str(HERE), "tenant": uuid.uuid4().hex[:8]}
        process = await asyncio.create_subprocess_exec(
            *command,
            json.dumps(environment),
            json.dumps([*CHECKS, NOBODYS]),
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), _SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
    assert (process.returncode, err.decode()) == (0, "")
    results = [json.loads(line) for line in out.splitlines()]
    return {result["check"]: result.get("problem") for result in results}
