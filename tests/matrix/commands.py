"""Runs the programs that fetch servers and Pythons."""

import os
import shlex
import subprocess

from matrix.absent import AbsentError


def run(*command: str, **environment: str) -> str:
    """Run a program, and return its output. Raises AbsentError if it fails, or is missing."""
    try:
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise AbsentError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise AbsentError(f"{shlex.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
