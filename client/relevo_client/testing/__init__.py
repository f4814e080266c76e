"""For the tests of services that use Relevo: a store, a clock, and who carried what.

Needs `relevo[server]`. With pytest, `pytest_plugins = ["relevo_client.testing.plugin"]`
in a conftest.py brings the fixtures `relevo_store` and `relevo_calls`.
"""

from relevo_client.testing._calls import CarriedCall, RecordedCalls
from relevo_client.testing._store import Clock, LocalStore

__all__ = ["CarriedCall", "Clock", "LocalStore", "RecordedCalls"]
