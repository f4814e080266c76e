"""Tools to test services that use Relevo: a local store, its clock, and a record of calls.

Needs the extra `relevo[testing]`. pytest then has the fixtures `relevo_store` and
`relevo_calls`.
"""

from relevo_client.testing._calls import CarriedCall, RecordedCalls

try:
    from relevo_client.testing._store import Clock, LocalStore
except ModuleNotFoundError as error:
    if error.name and error.name.startswith("relevo"):
        raise  # a defect in Relevo: installing the extra would not help
    raise ModuleNotFoundError(
        f"relevo_client.testing needs {error.name}; install it with: pip install 'relevo[testing]'",
        name=error.name,
    ) from error

__all__ = ["CarriedCall", "Clock", "LocalStore", "RecordedCalls"]
