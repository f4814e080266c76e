"""Reasons why a storage cannot be used, which operators have to mend."""

from collections.abc import Mapping


class MissingRightsError(Exception):
    """The cause of UNAVAILABLE if the database's user may not run commands that calls need.

    `refused` has the database's error for each of them.
    """

    def __init__(self, refused: Mapping[str, str]) -> None:
        super().__init__(f"the user may not run {', '.join(sorted(refused))}")
        self.refused = refused


class LayoutError(Exception):
    """Raised if the store was set up with other partitions, another layout or another key ring."""
