"""`ContextMiddleware`: makes the context of a request current in an ASGI application."""

from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Literal

from relevo_client._client.aio import AsyncContextClient
from relevo_client._context.current import using_in_one_task
from relevo_client._context.deadline import Deadline
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.fences import Fences
from relevo_client._context.keys import ContextRef, problem_of
from relevo_client._context.model import ExecutionContext
from relevo_client._context.resolved import Resolved
from relevo_client._propagation.callbacks import evaluate, must_be_plain
from relevo_client._propagation.clients import must_be_asyncio
from relevo_client._propagation.fallbacks import DEFAULT_POLICY, Policy
from relevo_client._propagation.incoming import Authorize, Call, Trust, keys_for, keys_of
from relevo_client._propagation.refusals import RejectedError
from relevo_client._telemetry.counts import COUNTS
from relevo_client.asgi import _headers
from relevo_client.asgi._answers import FORBIDDEN_CONTEXT, AnsweredError, rejected, send_answer
from relevo_client.asgi._finding import Begin, Finder, RequestedContext
from relevo_client.asgi._headers import CONVERSATION, IDENTITY_HEADERS, TENANT, HeaderValues
from relevo_client.asgi._needing import serve_without
from relevo_client.asgi._overrides import OverrideHeaders, Overrides, RequestedOverrides
from relevo_client.asgi._returning import returning
from relevo_client.asgi._types import ASGIApp, Receive, Scope, Send

_NOBODY = ExecutionContext()


class ContextMiddleware:
    """ASGI middleware that finds or begins the conversation of an HTTP request or a WebSocket.

    `X-Tenant-ID` and `X-Conversation-ID` name the conversation; `X-Agent-ID`, `X-Tenant-Tier`,
    `X-Session-ID` and `X-User-ID` are optional parts of the identity. Anyone who can reach the
    service can send these headers: a gateway in front of it, or `authorize`, has to verify them.

    The context, composed with what it includes, is current for the whole request, including
    streamed bodies, WebSocket messages and tasks. A request that names no conversation has no
    context. References of untrusted callers are removed from the headers.

    Args:
        app: the application.
        contexts: the client that resolves contexts.
        begin: a coroutine function that returns the context of a new conversation. It gets
            the identity, without sections; the store keeps the returned context. It is called
            once for all requests and processes. Without it, the policy's `not_found` applies
            to a request whose conversation does not exist.
        scope: the scope of the conversations' keys.
        trust_callers: whether callers may send a reference, which then replaces the headers:
            a bool, or a function of ASGI's scope that returns one. "signed" trusts references
            that the store has signed, which the client's `reference_keys` verify; the answer to
            any other one is 403.
        authorize: a function of the reference and ASGI's scope; if it returns False, the answer
            is 403. None authorizes every reference.
        require_user: whether a request for a conversation that has a user must name that user in
            `X-User-ID`; the answer is 403 otherwise. A trusted caller's reference needs none.
        overrides: headers that change the conversation's entry, by name: a path such as
            `llm_config.model`, or an `Override`.
        turns: whether each request is a turn: its context is a snapshot, which stays as it is for
            all services that are called, as in `turn` of the client.
        policy: the fallbacks for requests whose context cannot be resolved; must not be lazy.
        timeout: seconds until the application must be called, above 0.
        exempt: a function of ASGI's scope; requests for which it returns True have no context.

    Raises TypeError for a blocking client, and if `trust_callers`, `authorize` or `exempt` is a
    coroutine function; ValueError for a lazy policy, a malformed override, a `timeout` of 0 or
    less, or "signed" if the client has no `reference_keys`; InvalidFieldError for a malformed
    `scope`.

    """

    def __init__(
        self,
        app: ASGIApp,
        contexts: AsyncContextClient,
        *,
        begin: Begin | None = None,
        scope: str = "conversation",
        trust_callers: bool | Literal["signed"] | Callable[[Scope], bool] = False,
        authorize: Callable[[ContextRef, Scope], bool] | None = None,
        require_user: bool = False,
        overrides: Overrides = MappingProxyType({}),
        turns: bool = False,
        policy: Policy = DEFAULT_POLICY,
        timeout: float = 5.0,
        exempt: Callable[[Scope], bool] | None = None,
    ) -> None:
        must_be_asyncio(contexts, "ContextMiddleware")
        must_be_plain(trust_callers=trust_callers, authorize=authorize, exempt=exempt)
        problem = problem_of(scope)
        if problem:
            raise InvalidFieldError([("scope", problem)])
        if policy.lazy:
            raise ValueError("policy must not be lazy: an answer that has begun cannot be refused")
        if timeout <= 0:
            raise ValueError("timeout must be more than 0 seconds")
        self._app = app
        self._scope = scope
        self._keys = keys_for(trust_callers, keys_of(contexts))
        self._finder = Finder(
            contexts, begin, policy, turns=turns, trusts_callers=self._keys is None
        )
        self._trust: Trust = trust_callers if self._keys is None else True
        self._authorize: Authorize | None = authorize
        self._require_user = require_user
        self._overrides = OverrideHeaders(overrides)
        self._timeout = timeout
        self._exempt = exempt
        self._names = frozenset(map(_headers.wire_name, (*IDENTITY_HEADERS, *overrides)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI specifies."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        resolved: Resolved = None
        fences = Fences()
        is_trusted = False
        try:
            has_reference = _headers.names_reference(scope["headers"])
            is_trusted = has_reference and evaluate(self._trust, scope)
            if not is_trusted and (has_reference or _headers.has_rider(scope["headers"])):
                # The application must not pass on an untrusted reference. Otherwise the scope is
                # not copied: outer middlewares read what the application adds to it.
                scope = {**scope, "headers": _headers.without_reference(scope["headers"])}
                COUNTS.received_ignored += has_reference
            if self._exempt is None or not evaluate(self._exempt, scope):
                requested = self._requested(scope, is_trusted=is_trusted)
                fences = Fences(requested.ref)
                with using_in_one_task(None, fences):
                    resolved = await self._found(requested, scope)
        except RejectedError as ended:
            return await send_answer(rejected(ended.refusal).answer, scope, receive, send)
        except AnsweredError as ended:
            return await send_answer(ended.answer, scope, receive, send)
        if is_trusted and self._keys is None:
            send = returning(fences, send)
        with using_in_one_task(resolved, fences):
            if resolved is None and not self._names_context(scope, is_trusted=is_trusted):
                return await serve_without(self._app, scope, receive, send)
            return await self._app(scope, receive, send)

    def _requested(self, scope: Scope, *, is_trusted: bool) -> RequestedContext:
        """The context that a request names. Raises AnsweredError, RejectedError."""
        try:
            requested = self._authorized(scope, is_trusted=is_trusted)
        except (AnsweredError, RejectedError):
            COUNTS.received_refused += is_trusted
            raise
        COUNTS.received += is_trusted
        return requested

    async def _found(self, requested: RequestedContext, scope: Scope) -> Resolved:
        """The context to make current. Raises AnsweredError, RejectedError."""
        deadline = Deadline.after(self._timeout)
        call = Call(scope["path"], None, _Headers(scope["headers"]), deadline)
        return await self._finder.find(requested, call)

    def _authorized(self, scope: Scope, *, is_trusted: bool) -> RequestedContext:
        requested = self._requested_context(scope, is_trusted=is_trusted)
        ref = requested.ref
        if ref and self._authorize and not evaluate(self._authorize, ref, scope):
            raise AnsweredError(FORBIDDEN_CONTEXT)
        return requested

    def _names_context(self, scope: Scope, *, is_trusted: bool) -> bool:
        """Whether a request names a conversation, or has a trusted reference."""
        return is_trusted or HeaderValues(scope["headers"], self._names).has(TENANT, CONVERSATION)

    def _requested_context(self, scope: Scope, *, is_trusted: bool) -> RequestedContext:
        headers = scope["headers"]
        values = HeaderValues(headers, self._names)
        ref = _headers.reference_of(headers) if is_trusted else None
        if ref and self._keys and not self._keys.verify(ref):
            raise AnsweredError(FORBIDDEN_CONTEXT)
        if ref is None and not values.has(TENANT, CONVERSATION):
            return RequestedContext(None, _NOBODY, RequestedOverrides(), may_begin=False)
        identity = _headers.identity_of(values)
        if ref is not None:
            _headers.must_agree(self._scope, identity, ref)
            rider = _headers.rider_of(headers)
            return RequestedContext(
                ref, identity, RequestedOverrides(), may_begin=False, rider=rider
            )
        ref = _headers.conversation_of(self._scope, identity)
        overrides = self._overrides.requested(values)
        return RequestedContext(
            ref, identity, overrides, may_begin=True, must_name_user=self._require_user
        )


class _Headers:
    """Headers in the form of a call's metadata, decoded when they are read."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._headers = headers

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for name, value in self._headers:
            yield name.decode("latin-1"), value.decode("latin-1")
