"""What a request's headers say about its context: read and judged, without I/O."""

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
"""The context's field that each header is about."""
_REFERENCE = (metadata.KEY.encode(), metadata.REVISION.encode())


class HeaderValues:
    """The values of the headers with certain names, not judged before they are asked for."""

    def __init__(self, headers: Headers, names: Collection[bytes]) -> None:
        self._found: dict[bytes, set[bytes]] = {}
        for name, value in headers:
            wire_name = name.lower()
            if wire_name in names:
                self._found.setdefault(wire_name, set()).add(value.strip(b" \t"))

    def has(self, *names: str) -> bool:
        """Whether one of these headers is there, whatever it says."""
        return any(wire_name(name) in self._found for name in names)

    def read(self, names: Iterable[str]) -> dict[str, str]:
        """What those of these headers say that are there. Raises AnsweredError.

        As for parts of a key: 1 to 256 bytes of UTF-8 without control characters.
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
    """A header's name as a scope has it. For the few names that a service knows."""
    return name.lower().encode("ascii")


def identity_of(values: HeaderValues) -> ExecutionContext:
    """For whom the request is, as far as its headers say. Raises AnsweredError."""
    texts = values.read(IDENTITY_HEADERS)
    fields = {IDENTITY_HEADERS[name]: text for name, text in texts.items()}
    return ExecutionContext.model_validate(fields)


def conversation_of(scope: str, identity: ExecutionContext) -> ContextRef:
    """The conversation that an identity names, which has a part of its name at least.

    Raises AnsweredError where the other part is missing, or no call could carry it.
    """
    names = {TENANT: identity.tenant_id, CONVERSATION: identity.conversation_id}
    missing = [name for name, text in names.items() if not text]
    if missing:
        (there,) = names.keys() - missing
        raise malformed([(missing[0], f"must be there where {there} is")])
    key = ContextKey(scope, identity.tenant_id, identity.conversation_id)
    if len(key.text) > metadata.MAX_TEXT_BYTES:
        problem = f"must be shorter: calls can carry {metadata.MAX_TEXT_BYTES} bytes of a key"
        raise malformed([(CONVERSATION, problem)])
    return ContextRef(key)


def must_agree(scope: str, identity: ExecutionContext, ref: ContextRef) -> None:
    """Raise AnsweredError where a request names another conversation than its reference."""
    key = ref.key
    violations: list[tuple[str, str]] = []
    if identity.tenant_id not in ("", key.tenant_id):
        violations.append((TENANT, "must be the tenant of the context-key"))
    if key.scope == scope and identity.conversation_id not in ("", key.id):
        violations.append((CONVERSATION, "must be the conversation of the context-key"))
    if violations:
        raise malformed(violations)


def names_reference(headers: Headers) -> bool:
    """Whether a request carries a reference, or a part of one."""
    return any(name.lower() in _REFERENCE for name, _ in headers)


def without_reference(headers: Headers) -> Headers:
    """The headers but those of a reference."""
    return [(name, value) for name, value in headers if name.lower() not in _REFERENCE]


def reference_of(headers: Headers) -> ContextRef | None:
    """The reference that a request carries, None where it carries none. Raises AnsweredError."""
    try:
        return metadata.decode(
            (name.lower().decode(), value.decode("ascii"))
            for name, value in headers
            if name.lower() in _REFERENCE
        )
    except (InvalidFieldError, UnicodeDecodeError):
        raise AnsweredError(MALFORMED_REFERENCE) from None
