"""Entries without a store, for tests that need none."""

from datetime import UTC, datetime, timedelta

from relevo_client import ContextEntry, ContextKey, ExecutionContext


def entry_of(user_id: str, *, key: ContextKey | None = None, revision: int = 1) -> ContextEntry:
    """An entry whose context has this user."""
    return ContextEntry(
        key=key or ContextKey("conversation", "acme", user_id),
        context=ExecutionContext(user_id=user_id),
        version=revision,
        revision=revision,
        partition=0,
        expire_time=datetime(2030, 1, 1, tzinfo=UTC),
        ttl=timedelta(minutes=5),
    )
