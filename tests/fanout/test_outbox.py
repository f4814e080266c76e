"""The queue of one stream, compared with a model: what is coalesced, and what never is."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from relevo.v1.context_pb2 import ContextEntry, ExecutionContext
from relevo.v1.store_pb2 import Invalidated, ResetReason, TenantSelector, WatchResponse
from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.keys import Key
from relevo_server.wire.contexts import key_of, message_of

KEYS = [Key("conversation", "acme", f"c{i}") for i in range(2)]
PARTITION = 1
ROOM = 4000
LARGE = 700

keys = st.sampled_from(KEYS)
sizes = st.sampled_from([1, 30, LARGE])


def value(key: Key, version: int, size: int, answers: int = 0) -> Message:
    """An entry with a context of this size."""
    context = ExecutionContext(user_id="x" * size)
    entry = ContextEntry(key=message_of(key), version=version, context=context)
    return Message.of(WatchResponse(entry=entry, answers=answers), key, is_value=True)


def ended(key: Key, revision: int, *, is_changed: bool = False) -> Message:
    """The end of the versions of a key up to a revision."""
    invalidated = Invalidated(
        key=message_of(key), revision=revision, partition=PARTITION, is_changed=is_changed
    )
    return Message.of(WatchResponse(invalidated=invalidated), key)


def floor(revision: int) -> Message:
    """The end of all entries of the tenant."""
    tenant = TenantSelector(tenant_id=KEYS[0].tenant_id)
    return Message.of(WatchResponse(invalidated=Invalidated(tenant=tenant, revision=revision)))


class Watcher:
    """What a watcher knows of one partition, and the rules that it relies on."""

    def __init__(self, history: Mapping[Key, Sequence[int]]) -> None:
        self.seen: dict[Key, int] = {}
        """The revisions of the last messages about the keys that are answered for."""
        self.answers: list[int] = []
        self._history = history  # the revisions of all events about each key

    def apply(self, message: WatchResponse) -> None:
        """Apply a message, or those of a batch."""
        for each in message.batch.messages:
            self.apply(each)
        match message.WhichOneof("event"):
            case "entry":
                self._see(key_of(message.entry.key), message.entry.version, message.answers)
            case "invalidated" if message.invalidated.HasField("key"):
                ended = message.invalidated
                self._see(key_of(ended.key), ended.revision + ended.is_changed, message.answers)
            case "invalidated":
                for key, seen in self.seen.items():
                    self.seen[key] = max(seen, message.invalidated.revision)
            case "reset":
                self.seen.clear()
            case _:
                pass
        for position in (*message.progress.positions, *message.positions):
            for key, seen in self.seen.items():
                due = [each for each in self._history[key] if each <= position.revision]
                assert seen >= max(due, default=0), "progress has overtaken an event (N5)"

    def _see(self, key: Key, revision: int, answers: int) -> None:
        if answers:
            self.answers.append(answers)
        elif key not in self.seen:
            return  # it is about an earlier subscription
        assert revision >= self.seen.get(key, 0), "a message about a key came too late (N3)"
        self.seen[key] = revision


class Outboxes(RuleBasedStateMachine):
    """An outbox as a fan-out uses it, and a watcher that reads when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(ROOM)
        self.outbox.partitions.add(PARTITION)
        self.revision = self.number = 0
        self.history: dict[Key, list[int]] = {key: [] for key in KEYS}
        self.watcher = Watcher(self.history)
        self.sent: dict[Key, int] = {}
        """The revisions of the last messages about the keys that are answered for."""
        self.unread: list[tuple[Key, int]] = []
        """The answers that wait."""

    @rule()
    def accept_batches(self) -> None:
        """The watcher accepts batches from now on."""
        self.outbox.accepts_batches = True

    @rule(key=keys, size=sizes)
    def answer(self, key: Key, size: int) -> None:
        """A Subscribe is answered, if there is room."""
        if self.outbox.has_room(size):
            self.number += 1
            self.unread.append((key, self.number))
            self._put(value(key, self.revision, size, self.number), key)

    @rule(key=keys, size=sizes)
    def change(self, key: Key, size: int) -> None:
        """A key has a new value, which is sent along if there is room."""
        self.revision += 1
        self.history[key].append(self.revision)
        if key in self.sent:
            has_room = self.outbox.has_room(size, key)
            changed = ended(key, self.revision - 1, is_changed=True)
            self._put(value(key, self.revision, size) if has_room else changed, key)

    @rule(key=keys)
    def end(self, key: Key) -> None:
        """An entry ends."""
        self.revision += 1
        self.history[key].append(self.revision)
        if key in self.sent:
            self._put(ended(key, self.revision), key)

    @precondition(lambda self: self.sent)
    @rule()
    def end_all(self) -> None:
        """All entries of the tenant end together."""
        self.revision += 1
        for each in self.history.values():
            each.append(self.revision)
        self._put(floor(self.revision), *self.sent)

    @rule()
    def lose_order(self) -> None:
        """The log does not continue from its position."""
        self.sent.clear()
        self.outbox.reset(PARTITION, ResetReason.RESET_REASON_ORDER_CHANGED)

    @rule(key=keys)
    def withdraw(self, key: Key) -> None:
        """The right to a key ends: what waits about it is not sent, and was not answered."""
        self.sent.pop(key, None)
        self.watcher.seen.pop(key, None)
        numbers = [number for of, number in self.unread if of == key]
        self.unread = [each for each in self.unread if each[0] != key]
        assert self.outbox.withdraw({key}).get(key, 0) == max(numbers, default=0)

    @rule(number=st.integers(1, 3))
    def read(self, number: int) -> None:
        """The watcher reads some messages."""
        for _ in range(number):
            self._receive(self.outbox.next())

    @invariant()
    def is_bounded(self) -> None:
        """Values and news have half of the room each."""
        assert self.outbox.size <= ROOM + 100

    def teardown(self) -> None:
        """Whoever reads on has the newest state, after one event for each key at most."""
        about: Counter[tuple[Key, int]] = Counter()
        barriers: Counter[Key] = Counter()
        while serialized := self.outbox.next():
            whole = WatchResponse.FromString(serialized)
            for each in whole.batch.messages if whole.HasField("batch") else [whole]:
                key = key_of(each.entry.key if each.HasField("entry") else each.invalidated.key)
                if each.HasField("reset"):
                    barriers.update(KEYS)
                elif each.answers:
                    barriers[key] += 1
                elif key in KEYS:
                    about[key, barriers[key]] += 1
            self._receive(serialized)
        assert all(number == 1 for number in about.values()), "two events about a key have waited"
        assert self.watcher.seen == self.sent
        assert not self.unread
        assert self.outbox.size == 0

    def _put(self, message: Message, *about: Key) -> None:
        resets = self.outbox.resets
        self.sent.update(dict.fromkeys(about, self.revision))
        self.outbox.put(message)
        if self.outbox.resets != resets:  # an overflow: all of it is dropped
            self.sent.clear()
            self.unread.clear()
        else:
            self.outbox.progress(PARTITION, self.revision, 0, soon=True)

    def _receive(self, serialized: bytes | None) -> None:
        self.watcher.answers.clear()
        self.watcher.apply(WatchResponse.FromString(serialized or b""))
        for number in self.watcher.answers:
            assert number == self.unread.pop(0)[1], "an answer is missing, or in another order"


def test_any_order() -> None:
    """In any order of events, answers, resets and reads, a watcher may rely on its rules."""
    run_state_machine_as_test(
        Outboxes, settings=settings(max_examples=200, stateful_step_count=40, deadline=None)
    )


def messages(outbox: Outbox) -> list[WatchResponse]:
    """The messages that wait, as a watcher without batches gets them."""
    return [WatchResponse.FromString(each) for each in iter(outbox.next, None)]


def test_a_hot_key() -> None:
    """A slow reader of a key that changes often gets the newest value, in the place of the first.

    Its queue does not grow, and no other message loses its place.
    """
    outbox = Outbox(ROOM)
    hot, other = KEYS[:2]
    outbox.put(value(hot, 1, 100))
    outbox.progress(PARTITION, 1, 0, soon=True)
    outbox.put(ended(other, 1))
    size = outbox.size
    for version in range(2, 100):
        outbox.put(value(hot, version, 100))
        outbox.progress(PARTITION, version, 0, soon=True)
        assert outbox.size == size
    first, *rest = messages(outbox)
    assert first.entry.version == 99
    assert [each.WhichOneof("event") for each in rest] == ["progress", "invalidated"]
    assert [each.revision for each in rest[-1].positions] == [99]


def test_an_answer_is_not_overtaken() -> None:
    """An event stays behind the answer that it follows, although an older one waits before it."""
    outbox = Outbox(ROOM)
    for message in (
        value(KEYS[0], 1, 1),
        value(KEYS[0], 2, 1, answers=7),
        value(KEYS[0], 3, 1),
        value(KEYS[0], 4, 1),
    ):
        outbox.put(message)
    assert [each.entry.version for each in messages(outbox)] == [1, 2, 4]


def test_nothing_goes_before_a_reset() -> None:
    """An event of another order of revisions stays behind the reset that tells of it (N4)."""
    outbox = Outbox(ROOM)
    outbox.put(value(KEYS[0], 9, 1))
    outbox.reset(PARTITION, ResetReason.RESET_REASON_ORDER_CHANGED)
    outbox.put(value(KEYS[0], 3, 1))
    first, reset, last = messages(outbox)
    assert (first.entry.version, last.entry.version) == (9, 3)
    assert reset.HasField("reset")


def test_a_watcher_that_has_gone() -> None:
    """A stream is reset if 8 times its room was superseded without one read, not before (N5)."""
    outbox = Outbox(ROOM)
    outbox.partitions.add(PARTITION)
    message = value(KEYS[0], 1, LARGE)
    most = 8 * ROOM // len(message.body)
    for _ in range(3):
        for _ in range(1 + most):  # the first one takes no place of another
            outbox.put(message)
        assert outbox.next()
    assert not outbox.resets
    for _ in range(1 + most + 1):
        outbox.put(message)
    (only,) = messages(outbox)
    assert only.reset.reason == ResetReason.RESET_REASON_SLOW_WATCHER


@pytest.mark.parametrize("waiting, has_room", [(KEYS[0], True), (KEYS[1], False)])
def test_the_room_of_what_gives_its_place(waiting: Key, *, has_room: bool) -> None:
    """A value has the room of the older one about its key that waits."""
    outbox = Outbox(ROOM)
    outbox.put(value(waiting, 1, ROOM // 2))
    assert outbox.has_room(ROOM // 2, KEYS[0]) is has_room
    assert not outbox.has_room(ROOM // 2), "an answer takes nobody's place"


def test_who_has_waited_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event waits since the one waited whose place it has taken."""
    now = 100.0
    monkeypatch.setattr("relevo_server.event_log.outbox.monotonic", lambda: now)
    outbox = Outbox(ROOM)
    outbox.put(value(KEYS[0], 1, 1))
    now = 103.0
    outbox.put(value(KEYS[0], 2, 1))
    assert outbox.lag() == 3
