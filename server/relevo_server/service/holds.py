"""Holds: what one call takes of the shares of its principal and its tenants until it ends."""

from collections.abc import Sequence
from typing import Any

from relevo_server.errors import StoreError
from relevo_server.service.shares import Gauge, Shares
from relevo_server.wire.requests import (
    Get,
    InvalidateKeys,
    InvalidateTenant,
    Lease,
    Put,
    Release,
    Snapshot,
)


class Hold:
    """The shares that one call holds. Must be released, also after one of its methods has raised.

    The methods raise RESOURCE_EXHAUSTED with the reason QUOTA_EXCEEDED.
    """

    __slots__ = ("_shares", "_taken")

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._taken: list[tuple[Gauge, int]] = []

    def take_principal(self, name: str, size: int, *, has_reserve: bool) -> None:
        """Take room for a principal's call ("" for none), before its `size` bytes are parsed."""
        if name:
            calls, sizes = self._shares.admit_principal(name, size, has_reserve=has_reserve)
            self._take(calls)
            self._take(sizes, size)

    def take_tenants(self, request: Any) -> Any:
        """Take room for a checked request. Returns it, or what is left of it.

        A BatchGet counts as one call of each of its tenants. If a tenant has no room for it, its
        Gets are replaced by the error, and the others are answered.
        """
        match request:
            case Get(key=key) | Lease(key=key) | Release(key=key):
                self._take(self._shares.admit_call(key.tenant_id))
            case Put(key=key) | Snapshot(get=Get(key=key)):
                self._take(self._shares.admit_put(key.tenant_id))
            case InvalidateKeys(keys=keys):
                self._take(self._shares.admit_invalidate(request.tenant_id, len(keys)))
            case InvalidateTenant(tenant_id=tenant_id):
                self._take(self._shares.admit_invalidate(tenant_id, 1))
            case _:
                return self._take_batch(request)
        return request

    def release(self) -> None:
        """Give back what was taken."""
        for gauge, amount in self._taken:
            gauge.used -= amount

    def _take_batch(self, gets: Sequence[Get | StoreError]) -> Sequence[Get | StoreError]:
        found: dict[str, StoreError | None] = {}
        for get in gets:
            if isinstance(get, Get) and get.key.tenant_id not in found:
                found[get.key.tenant_id] = self._refusal(get.key.tenant_id)
        if not any(found.values()):
            return gets
        return [(found[get.key.tenant_id] or get) if isinstance(get, Get) else get for get in gets]

    def _refusal(self, tenant_id: str) -> StoreError | None:
        """Take room for a call of a tenant; the error if there is none."""
        try:
            self._take(self._shares.admit_call(tenant_id))
        except StoreError as error:
            return error
        return None

    def _take(self, gauge: Gauge, amount: int = 1) -> None:
        gauge.used += amount
        self._taken.append((gauge, amount))
