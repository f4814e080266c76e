"""Programs of a few lines, each in a process of its own."""

import os
import subprocess
import sys


def with_unclean_memory(program: str) -> "subprocess.CompletedProcess[str]":
    """What becomes of a program whose C libraries overwrite what they free.

    Who uses what is gone crashes then, and does not run on by luck.
    """
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MALLOC_PERTURB_": "165"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
