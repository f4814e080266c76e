"""Runs programs of a few lines, each in a process of its own."""

import os
import subprocess
import sys


def with_unclean_memory(program: str) -> "subprocess.CompletedProcess[str]":
    """Run a program whose C libraries overwrite freed memory, and return its result.

    A use after free then crashes, instead of working by luck.
    """
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MALLOC_PERTURB_": "165"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
