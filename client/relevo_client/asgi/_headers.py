"""Reads and validates the headers about a request's context, without I/O."""

from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextKey, ContextRef, problem_of
from relevo_client._context.model import ExecutionContext
from relevo_client._propagation import metadata
from relevo_client.asgi._answers import MALFORMED_REFERENCE, AnsweredError, malformed
from relevo_client.asgi._types import Headers

TENANT = "X-Tenant-ID"
CONVERSATION = "X-Conversation-ID"
IDENTITY_HEADERS: Mapping[str, str] = {
    TENANT: "tenant_id",
    CONVERSATION: "conversation_id",
    "X-Agent-ID": "agent_id",
    "X-Tenant-Tier": "tenant_tier",
    "X-Session-ID": "session_id",
    "X-User-ID": "user_id",
}
"""The field of the context for each header."""
_REFERENCE = tuple(name.encode() for name in (metadata.KEY, metadata.REVISION, metadata.SIGNATURE))
_RIDER = metadata.RIDER.encode()


class HeaderValues:
    """The values of the headers with the given names, validated when they are read."""

    def __init__(self, headers: Headers, names: Collection[bytes]) -> None:
        self._found: dict[bytes, set[bytes]] = {}
        for name, value in headers:
            wire_name = name.lower()
            if wire_name in names:
                self._found.setdefault(wire_name, set()).add(value.strip(b" \t"))

    def has(self, *names: str) -> bool:
        """Whether one of these headers is present, valid or not."""
        return any(wire_name(name) in self._found for name in names)

    def read(self, names: Iterable[str]) -> dict[str, str]:
        """The values of those of these headers that are present, by name.

        Raises AnsweredError for a value that no part of a key may have: it must have 1 to 256
        bytes of UTF-8 without control characters.
        """
        texts: dict[str, str] = {}
        violations: list[tuple[str, str]] = []
        for name in names:
            values = self._found.get(wire_name(name))
            if values:
                texts[name], problem = _text(values)
                if problem:
                    violations.append((name, problem))
        if violations:
            raise malformed(violations)
        return texts


def _text(values: set[bytes]) -> tuple[str, str | None]:
    if len(values) > 1:
        return "", "must be there once"
    (value,) = values
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "", "must be UTF-8"
    return text, problem_of(text)


@cache
def wire_name(name: str) -> bytes:
    """A header's name as in ASGI's scope, cached. For a service's few own names only."""
    return name.lower().encode("ascii")


def identity_of(values: HeaderValues) -> ExecutionContext:
    """The identity in a request's headers. Raises AnsweredError for a malformed header."""
    texts = values.read(IDENTITY_HEADERS)
    fields = {IDENTITY_HEADERS[name]: text for name, text in texts.items()}
    return ExecutionContext.model_validate(fields)


def conversation_of(scope: str, identity: ExecutionContext) -> ContextRef:
    """The reference of an identity's conversation.

    The identity has a tenant or a conversation; raises AnsweredError if it lacks the other,
    or if the key is too long to travel with calls.
    """
    names = {TENANT: identity.tenant_id, CONVERSATION: identity.conversation_id}
    missing = [name for name, text in names.items() if not text]
    if missing:
        (given,) = names.keys() - missing
        raise malformed([(missing[0], f"is required if {given} is given")])
    key = ContextKey(scope, identity.tenant_id, identity.conversation_id)
    if len(key.text) > metadata.MAX_TEXT_BYTES:
        limit = metadata.MAX_TEXT_BYTES
        problem = f"must be shorter: the conversation's key takes more than {limit} bytes"
        raise malformed([(CONVERSATION, problem)])
    return ContextRef(key)


def must_agree(scope: str, identity: ExecutionContext, ref: ContextRef) -> None:
    """Raise AnsweredError if the headers name another conversation than the reference."""
    key = ref.key
    violations: list[tuple[str, str]] = []
    if identity.tenant_id not in ("", key.tenant_id):
        violations.append((TENANT, "must be the tenant of the context-key"))
    if key.scope == scope and identity.conversation_id not in ("", key.id):
        violations.append((CONVERSATION, "must be the conversation of the context-key"))
    if violations:
        raise malformed(violations)


def names_reference(headers: Headers) -> bool:
    """Whether the headers have a reference, or a part of one."""
    return any(name.lower() in _REFERENCE for name, _ in headers)


def has_rider(headers: Headers) -> bool:
    """Whether the headers have a rider, or what might be one."""
    return any(name.lower() == _RIDER for name, _ in headers)


def without_reference(headers: Headers) -> Headers:
    """The headers without those of a reference and its rider."""
    removed = *_REFERENCE, _RIDER
    return [(name, value) for name, value in headers if name.lower() not in removed]


def rider_of(headers: Headers) -> bytes | None:
    """The rider in the headers, which is in base64; None if there is none, or none to be read."""
    texts = {
        text.strip()
        for name, value in headers
        if name.lower() == _RIDER
        for text in value.split(b",")
    }
    if len(texts) != 1:
        return None
    text = texts.pop().rstrip(b"=")
    try:
        return b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None


def reference_of(headers: Headers) -> ContextRef | None:
    """The reference in the headers, or None. Raises AnsweredError if it is malformed."""
    try:
        return metadata.decode(
            (name.lower().decode(), value.decode("ascii"))
            for name, value in headers
            if name.lower() in _REFERENCE
        )
    except (InvalidFieldError, UnicodeDecodeError):
        raise AnsweredError(MALFORMED_REFERENCE) from None
