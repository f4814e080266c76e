"""Pacing: refusals by a quota are answered at a pace, so that repeating a call costs its caller.

A refused call costs the server almost as much as an answered one: most of both is gRPC's. A caller
that repeats refused calls without the pause that it is asked for would take as much of the server
as it can send. So each tenant, and each principal, gets some refusals at once; beyond these a
refusal waits, and a caller that waits for it sends that much less. It waits for about the pause
that clients are asked for, so one that keeps to it notices nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from time import monotonic

from relevo_server.errors import RETRY_DELAY, Reason, StoreError, spread
from relevo_server.service.buckets import Bucket

AT_ONCE = 50.0
"""Refusals a second of one owner that do not wait, and as many that may come together."""
_GOLDEN = (5**0.5 - 1) / 2
"""The fractional parts of its multiples spread evenly, however many there are (H. Weyl, 1916)."""
MAX_HELD = 1000
"""Refusals that wait. Beyond them a refusal is answered at once: each takes memory of gRPC's."""
MAX_BYTES = 16 << 20
"""Bytes of their requests, which gRPC keeps until a call ends."""
DECLINED = 400.0
"""Messages of a Watch stream a second in which a subscription is declined, and as many that may
come together. The client library sends no more."""
_OWNERS = 4096


def _new_bucket(_: str) -> Bucket:
    return Bucket()


class Pacing:
    """Holds refusals of one server back. An owner is a tenant, or else a principal."""

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._bucket_of = lru_cache(_OWNERS)(_new_bucket)
        self._is_stopping = False
        self._bytes = 0
        self._share = 0.0
        self.held = 0
        """The number of refusals that wait now."""

    def stop(self) -> None:
        """Hold no refusal back from now on: the server is to stop soon."""
        self._is_stopping = True

    async def before(self, refusal: Exception, size: int, left: float | None) -> None:
        """Wait before a call is refused, if its owner was refused often in the last second.

        `size` is that of the request in bytes, and `left` the seconds until the call's deadline
        (None: it has none), of which half is taken at most. Returns at once for other errors.
        """
        if not isinstance(refusal, StoreError) or refusal.reason is not Reason.QUOTA_EXCEEDED:
            return
        owner = refusal.metadata.get("tenant_id") or refusal.metadata["principal"]
        if not self._bucket_of(owner).take(1, self._clock(), AT_ONCE, AT_ONCE):
            return
        if self._is_stopping or self.held >= MAX_HELD or self._bytes + size > MAX_BYTES:
            return
        self.held += 1
        self._bytes += size
        try:
            await self._sleep(self._pause() if left is None else min(self._pause(), left / 2))
        finally:
            self.held -= 1
            self._bytes -= size

    def _pause(self) -> float:
        """The seconds that the next refusal waits.

        Refusals that came together would otherwise be answered together, and their callers come
        again together: other calls would wait for all of them, each time anew.
        """
        self._share = (self._share + _GOLDEN) % 1
        return spread(RETRY_DELAY, self._share)


class DeclinedPace:
    """The pace at which one Watch stream is read while its subscriptions are declined."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._bucket = Bucket()

    async def after(self) -> None:
        """Wait after a message in which a subscription was declined, until the next may come."""
        seconds = self._bucket.take(1, self._clock(), DECLINED, DECLINED)
        if seconds:
            await asyncio.sleep(seconds)
            self._bucket.take(1, self._clock(), DECLINED, DECLINED)
