"""For the tests of services that use Relevo: a store, a clock, and who carried what.

Needs the extra `relevo[testing]`. pytest then has the fixtures `relevo_store` and
`relevo_calls`.
"""

from relevo_client.testing._calls import CarriedCall, RecordedCalls

try:
    from relevo_client.testing._store import Clock, LocalStore
except ModuleNotFoundError as error:
    if error.name and error.name.startswith("relevo"):
        raise  # a defect, which no installation mends
    raise ModuleNotFoundError(
        f"relevo_client.testing needs {error.name}; install it with: pip install 'relevo[testing]'",
        name=error.name,
    ) from error

__all__ = ["CarriedCall", "Clock", "LocalStore", "RecordedCalls"]
