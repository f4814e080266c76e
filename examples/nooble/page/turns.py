"""A turn as the page saw it: its steps, its calls, and the promises that it kept or broke."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from nooble import promises
from nooble.steps import Step
from nooble.wiring import Mode


@dataclass(frozen=True)
class Calls:
    """The calls that configuration cost, by the kinds of `look.CALLS`; None if it is not known."""

    management: int | None = None
    store: int | None = None
    redis: int | None = None

    def since(self, earlier: "Calls") -> "Calls":
        """The calls since an earlier count."""
        return Calls(
            _difference(self.management, earlier.management),
            _difference(self.store, earlier.store),
            _difference(self.redis, earlier.redis),
        )


def _difference(later: int | None, earlier: int | None) -> int | None:
    # A server that was restarted in between counts from zero.
    if later is None or earlier is None or later < earlier:
        return None
    return later - earlier


@dataclass
class Turn:
    """One turn of a conversation. Times are seconds since 1970."""

    number: int
    """Its number among the turns of its mode, from 1."""
    mode: Mode
    agent: str
    """The text form of the agent's key."""
    text: str
    began: float
    due: Mapping[str, int]
    """The version of each configuration that was acknowledged before the turn began, by key."""
    ended: float | None = None
    """The time of the answer; None while the turn runs."""
    answer: str = ""
    error: str = ""
    """The reason of a failed turn."""
    message: str = ""
    """The error's text, as the orchestrator sent it."""
    calls: Calls = field(default_factory=Calls)
    steps: list[Step] = field(default_factory=list[Step])

    @property
    def seconds(self) -> float | None:
        """The time that the turn took; None while it runs."""
        return None if self.ended is None else self.ended - self.began

    @property
    def ordered(self) -> Sequence[Step]:
        """The steps in the order of their requests' arrival."""
        return sorted(self.steps, key=lambda step: step.arrived)

    @property
    def used(self) -> Mapping[str, AbstractSet[int]]:
        """The versions of each configuration that the services used, by key."""
        return promises.used(self._versions)

    @property
    def outdated(self) -> frozenset[str]:
        """The keys of which a service missed a change that was acknowledged before the turn."""
        return promises.outdated(self._versions, self.due)

    @property
    def disagreed(self) -> frozenset[str]:
        """The keys of which two services used different versions."""
        return promises.disagreed(self._versions)

    @property
    def differing(self) -> frozenset[str]:
        """The paths of settings for which two services used different values."""
        return promises.disagreed(
            {path: repr(value) for path, value in step.settings.items()} for step in self.steps
        )

    @property
    def is_last_known(self) -> bool:
        """Whether a service went on with a last known state, as the store could not be asked."""
        return any(step.source == "last_known" for step in self.steps)

    def settings_of(self, service: str) -> Mapping[str, object]:
        """The settings that a service used in its steps, by path."""
        return {
            path: value
            for step in self.ordered
            if step.service == service
            for path, value in step.settings.items()
        }

    @property
    def _versions(self) -> Iterator[Mapping[str, int]]:
        return (step.versions for step in self.steps)
