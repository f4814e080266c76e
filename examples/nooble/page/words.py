"""The page's words: what a source, an age or an error means, in plain sentences."""

from collections.abc import Mapping

from relevo_look import units

from nooble.steps import Step
from nooble.wiring import STALENESS, Mode

_NO_STORE = (
    "The store cannot be asked now, and this conversation has no last known state yet. A "
    "conversation that had an answer before goes on."
)
ERRORS: Mapping[str, str] = {
    "NO_QUEUES": "The queues' Redis cannot be reached, or has lost the turn. Ask again.",
    "TIMEOUT": "No answer in time: a service that the turn needs does not work. The list of "
    "processes says which one does not run.",
    "NO_CONFIGURATION": "The orchestrator could not have the agent's configuration: its owner did "
    "not answer.",
    "STORE_UNAVAILABLE": _NO_STORE,
    "UNAVAILABLE": _NO_STORE,
    "STORE_BEHIND": "The store has lost data, and is behind what this conversation has seen. Ask "
    "again: the entries are created again.",
    "NO_ENTRY": "The store has lost this conversation's entry. Ask again: it is created again.",
    "NOT_FOUND": "There is no such agent, or the store has lost the turn's snapshot. Ask again.",
    "HANDLER_FAILED": "A service failed at its step. With JSON in Redis, that is what happens if "
    "this Redis cannot be reached: the mode has nothing else.",
    "NO_CONNECTION": "The orchestrator does not accept the conversation now.",
}
"""The meaning of a turn's error, by its reason."""

ACKNOWLEDGED: Mapping[Mode, str] = {
    "none": "Nobody waits for the services. A turn under way may use both versions.",
    "redis-json": "Nobody waits for the services. A conversation with a copy in Redis keeps the "
    "old version until the copy expires, 30 min after it was made.",
    "relevo": "The store takes some milliseconds. Then the owner waits for "
    f"{STALENESS:g} s: after that, no process can use the old version, even if the message about "
    "the change was lost.",
}
"""The reason why a change's acknowledgement takes as long as it takes."""


def error(reason: str) -> str:
    """The meaning of a turn's error."""
    return ERRORS.get(reason, "The turn failed. Its reason is the service's own.")


def age(step: Step, first: Step) -> str:
    """How old a step's settings were when it had them.

    `first` is the turn's first step: with Relevo, the others work with what it began with.
    """
    match step.source:
        case "management" | "redis" if step.read is not None:
            seconds = max(0.0, step.settled - step.read)
            return units.duration(seconds) if seconds >= 0.001 else "just read"
        case "near_cache" if step is first:
            return f"proven current, {STALENESS:g} s ago at most"
        case "near_cache" | "rider" | "store" if step is not first:
            seconds = max(0.0, step.settled - first.settled)
            return f"of this turn, which began {units.duration(seconds)} before"
        case "store":
            return "just read"
        case "loader":
            return "just created"
        case "last_known":
            return "unknown: the store could not be asked"
        case _:
            return "unknown"
