"""Runs a module that ends with its parent process: `python -m relevo_demo.leash MODULE …`.

The parent holds the other end of standard input. However the parent ends, even by
SIGKILL, the system closes that end, and the module then gets SIGTERM.
"""

import os
import runpy
import signal
import sys
from threading import Thread


def _follow_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_follow_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
