"""Changes: what the log of a partition says about a tenant or a key, and then live.

The log is read in pages, backwards for what has been, forwards for what comes. So a stream takes
the memory of the changes that were asked for, or of one page, however slowly it is read. The
partition's follower says when there is something new: nothing is polled.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from relevo.admin.v1.admin_pb2 import Change, ChangeKind, ChangesResponse

from relevo_server import errors, revisions
from relevo_server.access.callers import Caller
from relevo_server.access.sessions import Session
from relevo_server.roles import ADMIN
from relevo_server.service.parts import Parts
from relevo_server.storage.events import Event
from relevo_server.wire.contexts import message_of
from relevo_server.wire.requests import admin as requests

_READ_TOGETHER = 500
"""Events of one page."""
_KINDS = {
    "put": ChangeKind.CHANGE_KIND_PUT,
    "invalidate": ChangeKind.CHANGE_KIND_INVALIDATE,
    "floor": ChangeKind.CHANGE_KIND_INVALIDATE_TENANT,
}


class _Past(NamedTuple):
    """The changes of a log so far."""

    events: Sequence[Event]
    """The oldest first."""
    revision: int
    """The partition's last one."""
    has_gap: bool
    """Whether there may have been earlier ones that are no longer known."""


class Changes:
    """Streams changes."""

    def __init__(self, parts: Parts) -> None:
        self._storage = parts.storage
        self._followers = parts.followers
        self._sessions = parts.access.sessions
        self._following: set[asyncio.Event] = set()
        self._is_stopping = False

    def stop(self) -> None:
        """End the streams that follow with UNAVAILABLE; new ones too."""
        self._is_stopping = True
        for changed in self._following:
            changed.set()

    async def stream(
        self, request: requests.Changes, session: Session
    ) -> AsyncGenerator[ChangesResponse, None]:
        """The changes, for as long as the caller's right lasts if they are followed.

        Raises StoreError.
        """
        if not request.is_followed:
            past = await self._past(request)
            for response in _responses(past.events, has_gap=past.has_gap):
                yield response
            return
        partition = self._storage.partition_of(request.tenant_id)
        changed = asyncio.Event()

        def needs(caller: Caller) -> None:
            caller.require(request.tenant_id, ADMIN, request.scope)

        session.attach(changed.set, needs)
        self._following.add(changed)
        # Before the past is read: what comes in between is in the log, and is then told.
        self._followers.listen(partition, changed)
        try:
            with self._sessions.open(session):
                past = await self._past(request)
                for response in _responses(past.events, has_gap=past.has_gap):
                    yield response
                position = past.revision
                while not self._is_stopping:
                    await changed.wait()
                    changed.clear()
                    session.check()
                    is_whole = False
                    while not is_whole:
                        tail = await self._storage.tail(partition, position, _READ_TOGETHER)
                        for response in _responses(
                            [each for each in tail.events if request.names(each)],
                            has_gap=tail.gap is not None,
                        ):
                            yield response
                        position = tail.events[-1].revision if tail.events else tail.revision
                        is_whole = len(tail.events) < _READ_TOGETHER
                raise errors.stopping()
        finally:
            self._following.discard(changed)
            await self._followers.leave(partition, changed)

    async def _past(self, request: requests.Changes) -> _Past:
        """The last changes of a log, up to the request's limit."""
        partition = self._storage.partition_of(request.tenant_id)
        found: list[Event] = []
        before: int | None = None
        revision = 0
        # Few changes are most likely in few events. One more tells that there are earlier ones.
        size = min(request.limit + 1, _READ_TOGETHER)
        while True:
            page = await self._storage.inspection.history(partition, before, size)
            size = _READ_TOGETHER
            revision = revision or page.revision
            for event in page.events:
                if event.revision <= request.after_revision or len(found) == request.limit:
                    return _Past(found[::-1], revision, has_gap=False)
                if request.names(event):
                    found.append(event)
            if page.is_last:
                return _Past(found[::-1], revision, has_gap=page.is_trimmed)
            before = page.events[-1].revision


def _responses(events: Sequence[Event], *, has_gap: bool) -> Sequence[ChangesResponse]:
    """The messages for changes, and for a gap before them."""
    responses = [ChangesResponse(change=_change(event)) for event in events]
    if has_gap:
        first = responses[0] if responses else ChangesResponse()
        first.gap = True
        return responses or [first]
    return responses


def _change(event: Event) -> Change:
    change = Change(
        kind=_KINDS[event.kind],
        revision=event.revision,
        principal=event.principal,
        fields=event.fields,
    )
    change.time.FromMilliseconds(revisions.milliseconds(event.revision))
    if event.key:
        change.key.CopyFrom(message_of(event.key))
    else:
        change.tenant.tenant_id, change.tenant.scope = event.tenant_id, event.scope
    return change
