"""`python -m relevo_demo.leash MODULE …` is `python -m MODULE …` that ends with its parent.

The parent holds the other end of standard input. However it ends, by SIGKILL
too, the system closes that end, and the module is asked to stop by SIGTERM.
"""

import os
import runpy
import signal
import sys
from threading import Thread


def _wait_for_the_end() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_wait_for_the_end, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
