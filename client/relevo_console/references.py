"""References as people paste them: from logs, traces, headers and the command line."""

import re
from typing import NamedTuple
from urllib.parse import urlencode

from relevo_server.keys import Key
from relevo_server.revisions import MAX_REVISION

_LONGEST = 20_000
"""Characters of a pasted text."""
_PART = r"[A-Za-z0-9._~%-]+"
_KEY = rf"{_PART}:{_PART}:{_PART}"
_WHOLE = re.compile(rf"({_KEY})(?:@(\d+))?")
_WITH_REVISION = re.compile(rf"({_KEY})@(\d+)")
_TO_VALUE = r"(?![A-Za-z])[^A-Za-z0-9]*(?:value\W+)?(?:(?:int|string)Value\W+)?"
"""The text between a name and its value, in headers, logs, and the JSON of traces."""
_NAMED_KEY = re.compile(rf"(?<![A-Za-z])key{_TO_VALUE}({_KEY})", re.I)
_NAMED_REVISION = re.compile(rf"(?<![A-Za-z])revision{_TO_VALUE}(\d+)", re.I)
_NONE = (
    "no reference found; it has the form scope:tenant:id@revision, and parts with other "
    "characters than letters, digits and -._~ are percent-encoded"
)


class Reference(NamedTuple):
    """A key, and the revision that a turn had to see. 0 is no revision."""

    key: Key
    revision: int

    def __str__(self) -> str:
        """The text form: `scope:tenant:id@revision`, or the key without a revision."""
        return f"{self.key}@{self.revision}" if self.revision else str(self.key)


def context_path(text: str) -> str:
    """The path of a context's page. For a text that is no reference, the page says so."""
    return f"/context?{urlencode({'ref': text})}"


def parse(text: str) -> Reference:
    """Find the reference in a text. Raises ValueError, which does not quote the text.

    The text is a reference, a key, or a piece of a log, a trace or headers that has a reference,
    or a key and a revision under their names (`context-key`, `relevo.context.revision`).
    """
    text = text[:_LONGEST].strip()
    if whole := _WHOLE.fullmatch(text):
        return _reference(whole[1], whole[2])
    if found := _WITH_REVISION.search(text):
        return _reference(found[1], found[2])
    if named := _NAMED_KEY.search(text):
        revision = _NAMED_REVISION.search(text)
        return _reference(named[1], revision[1] if revision else None)
    raise ValueError(_NONE)


def _reference(key: str, revision: str | None) -> Reference:
    number = int(revision) if revision and len(revision) < 20 else 0
    if revision and (len(revision) >= 20 or number > MAX_REVISION):
        raise ValueError("the revision is too large")
    return Reference(Key.parse(key), number)
