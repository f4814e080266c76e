"""What a client knows of the snapshots that it has made."""

from dataclasses import replace

from relevo_client._client.known_snapshots import KnownSnapshots
from support.entries import entry_of


def test_what_the_store_has_is_not_put_again() -> None:
    """A snapshot counts as stored once the store has answered it, and not if it was made here."""
    known = KnownSnapshots()
    entry = entry_of("someone", revision=7)
    known.keep(replace(entry, version=0))
    assert known.stored(entry.key) is None
    known.keep(replace(entry, version=7))
    stored = known.stored(entry.key)
    assert stored is not None
    assert stored.version == 7
