"""Keys on the command line."""

import argparse

from relevo.v1.context_pb2 import ContextKey
from relevo_server.keys import Key
from relevo_server.revisions import MAX_REVISION

HELP = "scope:tenant_id:id, parts encoded"
REFERENCE_HELP = "a key, or a reference: scope:tenant_id:id@revision"


def key(text: str) -> Key:
    """Parse a key, as argparse's `type`."""
    try:
        return Key.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def reference(text: str) -> tuple[Key, int]:
    """Parse a key, or a reference with its revision, as argparse's `type`. 0 is no revision."""
    name, at, revision = text.rpartition("@")
    if not at:
        return key(text), 0
    if not (revision.isascii() and revision.isdecimal() and int(revision) <= MAX_REVISION):
        raise argparse.ArgumentTypeError("a reference has the form scope:tenant_id:id@revision")
    return key(name), int(revision)


def key_without_stars(text: str) -> Key:
    """Parse a key to invalidate. A `*` is refused: the text form of the character is %2A."""
    if "*" in text:
        raise argparse.ArgumentTypeError(
            "* does not mean all; --tenant ends all of a tenant's, and %2A is the character"
        )
    return key(text)


def message(key: Key) -> ContextKey:
    """The message of a key."""
    return ContextKey(scope=key.scope, tenant_id=key.tenant_id, id=key.id)


def text(key: ContextKey) -> str:
    """The text form of a message's key."""
    return str(Key(key.scope, key.tenant_id, key.id))
