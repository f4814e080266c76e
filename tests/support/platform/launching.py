"""Starts the platform's processes by a fork, instead of by `relevo_demo.launching.start`."""

import os
from asyncio.subprocess import Process
from typing import cast

from support.forking.aio import AioForkedProcess
from support.servers.process import IMPORTS


async def start(*command: str, **environment: str) -> Process:
    """Start a Python module as a process that ends with this one."""
    module, *_ = command
    variables = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
    process = await AioForkedProcess.start(
        *command,
        environment={**variables, **environment},
        imports=IMPORTS if module == "relevo_server" else [module],
        pipes=["stderr"],
    )
    return cast("Process", process)
