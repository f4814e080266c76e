"""Records calls in the audit: who made them, from where, about what, and how they ended.

A method is wrapped only if its calls are recorded, so no other method pays for it. What a record
needs is known at different places of a call: the peer by gRPC, the principal once the caller is
admitted, the subject once the request is read. They meet in a variable of the call's own context.
"""

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from grpc import StatusCode

from relevo_server.access.callers import Caller
from relevo_server.audit import Event, Trail
from relevo_server.audit.records import Subject
from relevo_server.errors import Reason, StoreError
from relevo_server.keys import Key
from relevo_server.service.admission import Answer, Context, Method, Read, Request


class Make(Protocol):
    """Makes a method for gRPC, as `Admission.method` does."""

    def __call__(self, answer: Answer[Request], read: Read[Request]) -> Method:
        """A method that answers what is read."""
        ...


class _Call:
    """A call's peer and principal, as far as they are known."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.principal = ""


_call: ContextVar[_Call] = ContextVar("call")


def recorded(make: Make, trail: Trail, event: Event) -> Make:
    """The same for methods whose calls are recorded once they were answered, if `trail` has such.

    Calls that were refused before are not recorded here: `Admission` records those.
    """
    if not trail.keeps(event):
        return make

    def made(answer: Answer[Any], read: Read[Any]) -> Method:
        name = answer.__name__

        async def answer_recorded(request: Any) -> Any:
            status, reason, revision = StatusCode.CANCELLED, "", 0
            try:
                response: Any = await _awaitable(answer(request))
                status, revision = StatusCode.OK, getattr(response, "revision", 0)
            except StoreError as error:
                status, reason = error.code, error.reason.value
                raise
            except Exception:
                status, reason = StatusCode.INTERNAL, Reason.INTERNAL.value
                raise
            finally:
                call = _call.get()
                trail.record(
                    *(event, name, call.principal, call.peer, subjects_of(request)),
                    status=status,
                    reason=reason,
                    revision=revision if event is Event.WRITE else 0,
                )
            return response

        return _with_call(make, answer_recorded, read, name)

    return made


def recording_parts(make: Make, trail: Trail) -> Make:
    """The same for methods whose requests have parts that may be refused one by one."""

    def made(answer: Answer[Any], read: Read[Any]) -> Method:
        name = answer.__name__

        async def answer_recorded(parts: Sequence[Any]) -> Any:
            call = _call.get()
            for part in parts:
                if isinstance(part, StoreError):
                    trail.failed(name, call.principal, lambda: call.peer, part)
            return await _awaitable(answer(parts))

        return _with_call(make, answer_recorded, read, name)

    return made


def subjects_of(request: Any) -> Iterable[Subject]:
    """The subjects of a typed request: a key, several keys, a tenant with or without a scope."""
    if isinstance(request, str):
        return [Subject(request)]
    keys: Sequence[Key | None] = getattr(request, "keys", None) or [getattr(request, "key", None)]
    if any(keys):
        return [Subject(each.tenant_id, each.scope, str(each)) for each in keys if each]
    return [Subject(getattr(request, "tenant_id", ""), getattr(request, "scope", ""))]


def _with_call(make: Make, answer: Callable[[Any], Any], read: Read[Any], name: str) -> Method:
    """A method whose `answer` finds its call in `_call`."""

    def read_noted(serialized: bytes, caller: Caller) -> Any:
        _call.get().principal = caller.name
        return read(serialized, caller)

    answer.__name__ = name
    method = make(answer, read_noted)

    async def with_peer(serialized: bytes, context: Context) -> bytes:
        _call.set(_Call(context.peer()))
        return await method(serialized, context)

    return with_peer


async def _awaitable(answered: Any) -> Any:
    """The answer, whether it had to wait or not."""
    return answered if isinstance(answered, bytes) else await answered
