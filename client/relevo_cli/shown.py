"""Entries of the store, as text for people."""

from relevo.v1.context_pb2 import ContextEntry
from relevo_look import units

from relevo_cli import keys, values
from relevo_cli.documents import of_message
from relevo_cli.tables import Column, pairs, table

_VALUES = (Column("PATH"), Column("VALUE"))


def entry(entry: ContextEntry, width: int | None) -> list[str]:
    """The lines of an entry: what it is, then every value of its context, if it has one."""
    head = [
        ("key", keys.text(entry.key)),
        ("version", str(entry.version)),
        ("partition", str(entry.partition)),
        ("expires", f"in {units.of_message(entry.ttl)}"),
    ]
    lines = pairs(head, width)
    if entry.HasField("context"):
        rows = values.rows(of_message(entry.context))
        lines += ["", *table(_VALUES, rows, width)]
    return lines
