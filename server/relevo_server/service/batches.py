"""BatchGet: the results of many Gets, within the size of one answer.

No more is read than is answered, whatever a batch asks for. First all Gets are asked at the same
time, each for its share of the answer's size: so a batch of usual entries costs one round trip,
and no answer of one batch displaces another one of it. What is larger than its share is asked for
again, one after the other, for as long as there is room.

The work of a batch is done in short steps, one in a turn of the loop for all batches together, so
that other calls wait for one step and not for a whole batch.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple, TypeAlias

from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.logs import log, where
from relevo_server.service.reads import Reader, TooLargeError, require_within
from relevo_server.storage.interface import Limits, Read
from relevo_server.wire.batches import error_part, response_part
from relevo_server.wire.requests import Get
from relevo_server.wire.statuses import status_of

Respond: TypeAlias = Callable[[Get, Read, Sequence[Key]], bytes]
"""Makes a serialized GetResponse of what was read. May raise StoreError."""

_BEGUN_TOGETHER = 4
"""Gets of batches that begin in one turn of the loop. Each takes some 0.1 ms."""
_STEP = 0.0002
"""Seconds after which a step of composing a response ends."""


class _TooLarge(NamedTuple):
    """The place of an answer that is larger than its share."""

    size: int
    """Its size in bytes, as far as it is known."""


_Outcome: TypeAlias = bytes | StoreError | _TooLarge


class Batches:
    """Answers BatchGets, with as many entries as fit into `limit` bytes."""

    def __init__(self, reader: Reader, respond: Respond, limit: int) -> None:
        self._reader = reader
        self._respond = respond
        self._limit = limit
        self._turns = asyncio.Lock()
        """Held for a turn of the loop by one batch at a time."""

    async def answer(self, gets: Sequence[Get | StoreError]) -> bytes:
        """A serialized BatchGetResponse: the result of each Get, in their order.

        The first entry always has room, so a caller that asks again for those that had none makes
        progress.
        """
        share = Limits(self._limit // len(gets), self._limit // len(gets))
        outcomes = await self._outcomes(gets, share)
        size = sum(len(each) for each in outcomes if isinstance(each, bytes))
        for i, (get, outcome) in enumerate(zip(gets, outcomes, strict=True)):
            if isinstance(outcome, _TooLarge):
                outcomes[i] = again = await self._again(get, outcome, size)
                size += len(again) if isinstance(again, bytes) else 0
        return await self._response(outcomes)

    async def _outcomes(self, gets: Sequence[Get | StoreError], share: Limits) -> list[_Outcome]:
        """The outcome of each Get within its share. They begin in steps, and wait together."""
        asked: list[asyncio.Task[_Outcome]] = []
        async with asyncio.TaskGroup() as group:
            for begin in range(0, len(gets), _BEGUN_TOGETHER):
                async with self._turns:
                    asked += [
                        group.create_task(self._outcome(get, share))
                        for get in gets[begin : begin + _BEGUN_TOGETHER]
                    ]
                    await asyncio.sleep(0)
        return [each.result() for each in asked]

    async def _again(self, get: Get | StoreError, found: _TooLarge, size: int) -> _Outcome:
        """The outcome of a Get that is larger than its share; `size` is that of all others."""
        if not size:
            return await self._outcome(get, None)
        room = self._limit - size
        return found if found.size > room else await self._outcome(get, Limits(room, room))

    async def _outcome(self, get: Get | StoreError, limits: Limits | None) -> _Outcome:
        if isinstance(get, StoreError):
            return get
        try:
            found = self._reader.from_copies(get)
            if found and limits:
                require_within(get, found[0], limits)
            return self._respond(get, *(found or await self._reader.from_store(get, limits)))
        except TooLargeError as error:
            return _TooLarge(error.size)
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a defect costs its own result only
            log.error("call.failed", method="BatchGet", where=where(error))
            return errors.internal()

    async def _response(self, outcomes: Sequence[_Outcome]) -> bytes:
        too_large = error_part(_status(errors.response_too_large(self._limit)))
        parts: list[bytes] = []
        size, end = 0, monotonic() + _STEP
        for outcome in outcomes:
            if isinstance(outcome, StoreError):
                parts += error_part(_status(outcome))
            # The shares count contexts, and an answer has some hundred bytes more.
            elif isinstance(outcome, bytes) and not (size and size + len(outcome) > self._limit):
                size += len(outcome)
                parts += response_part(outcome)
            else:
                parts += too_large
            if monotonic() > end:
                async with self._turns:
                    await asyncio.sleep(0)
                end = monotonic() + _STEP
        return b"".join(parts)


def _status(error: StoreError) -> bytes:
    return status_of(error).SerializeToString()
