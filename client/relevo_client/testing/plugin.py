"""The fixtures of `relevo.pytest_plugin`, for `pytest_plugins` in a conftest.py.

pytest loads them by itself unless entry points are switched off
(`PYTEST_DISABLE_PLUGIN_AUTOLOAD`).
"""

from relevo.pytest_plugin import relevo_calls, relevo_store

__all__ = ["relevo_calls", "relevo_store"]
