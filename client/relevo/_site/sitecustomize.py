"""Begins in each Python process that `relevo-run` starts, before the program's first import.

Python imports a module of this name from `PYTHONPATH`. Another one of the name, of the machine or
of another tool, is still run: this one only stands in front of it.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - at each start of Python


def _run_the_next() -> None:
    others = [each for each in sys.path if os.path.abspath(each) != _HERE]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec and spec.loader:
        module = sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(module)


try:
    from relevo.started import begin
except ModuleNotFoundError:
    pass  # another interpreter has inherited PYTHONPATH, and has no Relevo
else:
    begin()
_run_the_next()
