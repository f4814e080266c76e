"""The health service: whether the process lives, and whether it can serve.

Liveness does not follow the store: to restart a server brings no store back. Readiness does, and
so do the service's own name and "", which load balancers and older probes ask for
(docs/decisions/0025).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from relevo_server.errors import StoreError
from relevo_server.logs import cause_of, log
from relevo_server.storage import MissingRightsError, Storage
from relevo_server.storage.inspection import EVICTION_ADVICE, may_evict_logs, rights_advice
from relevo_server.telemetry.calls import Registry

LIVENESS = "liveness"
READINESS = "readiness"
NAME = health.SERVICE_NAME
"""The name of the health service itself."""
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
RIGHTS_INTERVAL = 30.0
"""Seconds between two looks at the rights on every node, and at those that only operators need."""
_EVICTION = f"Redis may evict the logs and the order of revisions; {EVICTION_ADVICE}"


class Health:
    """Checks the store every `interval` seconds, and answers `grpc.health.v1.Health`.

    `services` are the names of services that are ready if the store answers.
    """

    def __init__(self, storage: Storage, interval: float, *services: str) -> None:
        self._storage = storage
        self._interval = interval
        self._ready_names = ("", READINESS, *services)
        self._servicer = health.aio.HealthServicer()
        self._told: list[str] | None = None
        """The refused commands of the loss that was logged last; none if the store did not answer,
        and None if it was found since."""
        self._limited: list[str] = []
        """The refused commands without which the server serves, as they were logged last."""
        self._rights_due = 0.0  # when the rights are looked at next, in the monotonic clock
        self.store_available: bool | None = None
        """Whether the store answered the last check; None before the first one."""

    def add_to(self, server: Registry) -> None:
        """Register the health service with a server that has not been started."""
        untyped: Any = health_pb2_grpc
        untyped.add_HealthServicer_to_server(self._servicer, server)

    async def begin(self) -> None:
        """Check the store, and set every status. Raises LayoutError."""
        await self._servicer.set(LIVENESS, _SERVING)
        await self._check()

    async def end(self) -> None:
        """Set every status to NOT_SERVING, for good: the server stops."""
        await self._servicer.enter_graceful_shutdown()

    async def follow_store(self) -> None:
        """Check the store regularly, without end. Raises LayoutError if its layout changes."""
        while True:
            await asyncio.sleep(self._interval)
            await self._check()

    async def _check(self) -> None:
        before = self.store_available
        try:
            await self._storage.check()
        except StoreError as error:
            self.store_available = False
            self._tell_loss(error)
        else:
            self.store_available, self._told = True, None
            if before is False:
                log.info("store.found")
            if not before:
                self._limited, self._rights_due = [], 0.0
                await self._warn_of_eviction()
            if monotonic() >= self._rights_due:
                await self._warn_of_rights()
                self._rights_due = monotonic() + RIGHTS_INTERVAL
        if self.store_available is not before:
            for name in self._ready_names:
                await self._servicer.set(name, _SERVING if self.store_available else _NOT_SERVING)

    def _tell_loss(self, error: StoreError) -> None:
        """Log why the store is lost, once for each cause: no answer, or a set of commands."""
        cause = error.__cause__
        refused: Mapping[str, str] = {}
        if isinstance(cause, MissingRightsError):
            refused = cause.refused
        commands = sorted(refused)
        if commands == self._told:
            return
        self._told = commands
        if refused:
            log.error(
                "store.forbidden",
                commands=commands, error=refused[commands[0]], advice=rights_advice(commands),
            )  # fmt: skip
        else:
            log.warning("store.lost", reason=error.reason.value, cause=cause_of(cause))

    async def _warn_of_rights(self) -> None:
        """Log which commands are refused, of those that the check of the store does not need.

        These are for operators, or needed by calls on another node of a Cluster. There a missing
        right is no reason to serve nobody: the tenants of the other nodes have theirs.
        """
        with suppress(StoreError):  # lost again: the next check tells
            refused = sorted(await self._storage.inspection.refusals())
            if refused == self._limited:
                return
            self._limited = refused
            if refused:
                log.warning("store.limited", commands=refused, advice=rights_advice(refused))

    async def _warn_of_eviction(self) -> None:
        for policy in sorted(await self._storage.eviction_policies()):
            if may_evict_logs(policy):
                log.warning("store.eviction", policy=policy, advice=_EVICTION)
