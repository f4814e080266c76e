"""BatchGet: the results of many Gets, within the size of one answer.

No more is read than is answered, whatever a batch asks for. First all Gets are asked at the same
time, each for its share of the answer's size: so a batch of usual entries costs one round trip,
and no answer of one batch displaces another one of it. What is larger than its share is asked for
again, one after the other, for as long as there is room.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from relevo.v1 import store_pb2

from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.logs import log, where
from relevo_server.service.reads import Reader, TooLargeError, require_within
from relevo_server.storage.interface import Limits, Read
from relevo_server.wire import opaque
from relevo_server.wire.requests import Get
from relevo_server.wire.statuses import status_of

Respond: TypeAlias = Callable[[Get, Read, Sequence[Key]], bytes]
"""Makes a serialized GetResponse of what was read. May raise StoreError."""


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

    async def answer(self, gets: Sequence[Get | StoreError]) -> store_pb2.BatchGetResponse:
        """The result of each Get, in their order.

        The first entry always has room, so a caller that asks again for those that had none makes
        progress.
        """
        share = Limits(self._limit // len(gets), self._limit // len(gets))
        outcomes = list(await asyncio.gather(*(self._outcome(get, share) for get in gets)))
        size = sum(len(each) for each in outcomes if isinstance(each, bytes))
        for i, (get, outcome) in enumerate(zip(gets, outcomes, strict=True)):
            if isinstance(outcome, _TooLarge):
                outcomes[i] = again = await self._again(get, outcome, size)
                size += len(again) if isinstance(again, bytes) else 0
        return self._response(outcomes)

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

    def _response(self, outcomes: Sequence[_Outcome]) -> store_pb2.BatchGetResponse:
        response = opaque.BatchGetResponse()
        size = 0
        for outcome in outcomes:
            result: Any = response.results.add()
            error = errors.response_too_large(self._limit)
            if isinstance(outcome, StoreError):
                error = outcome
            # The shares count contexts, and an answer has some hundred bytes more.
            elif isinstance(outcome, bytes) and not (size and size + len(outcome) > self._limit):
                size += len(outcome)
                result.response = outcome
                continue
            result.error.MergeFromString(status_of(error).SerializeToString())
        return response
