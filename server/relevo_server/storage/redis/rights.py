"""The commands that a server needs, and which of them a user of Redis may not run.

A script runs each of them as other scripts do, in a form that changes nothing. No other way works
on every version: `ACL DRYRUN` needs Redis 7, and a right that few users have.
"""

import json
import re
from collections.abc import Iterable, Mapping

OPTIONAL = frozenset({"CLIENT|TRACKING", "HSCAN", "SCAN", "XDEL", "XREVRANGE", "XSETID"})
"""Commands without which calls are answered. docs/operations.md says what is missing then."""
_REFUSALS = ("NOPERM", "The user executing the script can't", "ACL failure in script")
"""Texts of errors if a right is missing: of a command; and within a script in Redis 6.2, and from
7.2 on and in Valkey. Redis 7.0 says NOPERM there too."""
_NAMED = re.compile(r"'([\w|]+)' command")


def trials(key: str) -> str:
    """A call of each command that scripts use, as rights.lua takes them.

    Commands that no script may run are tried by themselves: see `Tracker.refused`.

    `key` is the name of a record that does not exist.
    """
    return json.dumps(
        (
            ("HGET", key, "field"),
            ("HMGET", key, "field"),
            ("HSTRLEN", key, "field"),
            ("HSCAN", key, "0"),
            ("HDEL", key, "field"),
            ("HSET", key, "field", "value", "field without a value"),
            ("PTTL", key),
            ("PEXPIRE", key, "1"),
            ("DEL", key),
            ("XLEN", key),
            ("XRANGE", key, "-", "+"),
            ("XREVRANGE", key, "+", "-"),
            ("XADD", key, "NOMKSTREAM", "*", "field", "value"),
            ("XDEL", key, "1-1"),
            ("XSETID", key, "1-1"),
            ("SCAN", "0", "COUNT", "1"),
        )
    )


def refused(failed: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The commands that may not be run, each with Redis's words, from the answer of rights.lua.

    Other errors are left out: a replica refuses to write, for example, whoever asks.
    """
    return refusals({name.decode(): error.decode(errors="replace") for name, error in failed})


def refusals(errors: Mapping[str, str]) -> dict[str, str]:
    """Those of the errors by command that say that the user lacks a right."""
    return {command: error for command, error in errors.items() if is_refusal(error)}


def is_refusal(text: str) -> bool:
    """Whether an error of Redis says that the user lacks a right."""
    return any(words in text for words in _REFUSALS)


def named(text: str) -> dict[str, str]:
    """The refused command that an error of Redis names, with the error; empty if it names none."""
    found = _NAMED.search(text)
    return {found[1].upper(): text} if found and is_refusal(text) else {}


def needed(commands: Mapping[str, str]) -> dict[str, str]:
    """Those of the refused commands without which calls fail."""
    return {command: text for command, text in commands.items() if command not in OPTIONAL}
