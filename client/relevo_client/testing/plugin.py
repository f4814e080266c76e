"""The fixtures of `relevo.pytest_plugin`, by the name under which a conftest.py may ask for them.

pytest has them by itself; this is for where entry points are switched off.
"""

from relevo.pytest_plugin import relevo_calls, relevo_store

__all__ = ["relevo_calls", "relevo_store"]
