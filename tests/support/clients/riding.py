"""Snapshots that ride, without a store."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from relevo_client import ContextEntry, ContextRef
from relevo_client._context import riders
from relevo_client._context.entry import snapshot_context

from support.entries import entry_of


def snapshot_of(
    entry: ContextEntry, *, version: int = 0, expire_time: datetime | None = None
) -> ContextEntry:
    """The snapshot of an entry, as its maker knows it; `version` is 0 before its Put."""
    return replace(
        entry,
        key=entry.snapshot_key,
        context=snapshot_context(entry),
        version=version,
        layers=(),
        expire_time=expire_time or datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30),
        ttl=timedelta(minutes=30),
    )


def rider_of(user_id: str) -> tuple[ContextRef, bytes]:
    """The reference and the rider of the snapshot of an entry with this user."""
    snapshot = snapshot_of(entry_of(user_id))
    rider = riders.rider_of(snapshot)
    assert rider
    return snapshot.ref, rider
