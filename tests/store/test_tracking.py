"""One connection for many reads: whose answer is whose, and which keys have changed since."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from relevo_server.storage.redis.tracking import TrackingConnection, Unchanged

KEYS = ("a", "b", "c")
LATER = 3600.0
"""Seconds that no test takes."""

Step = tuple[str, str]
"""What Redis sends next: the answer to a read of a key, news of a key, or that all is flushed."""
steps = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.sampled_from((*KEYS, ""))),
        st.tuples(st.just("refusal"), st.sampled_from((*KEYS, ""))),
        st.tuples(st.just("news"), st.sampled_from(KEYS)),
        st.just(("flush", "")),
        st.just(("other news", "")),
    ),
    max_size=20,
)


class Wire(asyncio.Transport):
    """The transport of a connection, which records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self._is_closed = False

    def write(self, data: Any) -> None:
        """Record it."""
        self.written.append(bytes(data))

    def abort(self) -> None:
        """Close it."""
        self._is_closed = True

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self._is_closed


def connected() -> tuple[TrackingConnection, Wire]:
    """A connection, and its transport."""
    connection, wire = TrackingConnection(), Wire()
    connection.connection_made(wire)
    return connection, wire


def bulk(text: str) -> bytes:
    """A string, as Redis sends it."""
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def sent_by_redis(number: int, step: Step) -> bytes:
    """The bytes of a step. An answer has the number of the step."""
    match step:
        case "answer", _:
            return bulk(str(number))
        case "refusal", _:
            return b"-ERR refused %d\r\n" % number
        case "news", key:
            return b">2\r\n" + bulk("invalidate") + b"*1\r\n" + bulk(key)
        case "flush", _:
            return b">2\r\n" + bulk("invalidate") + b"_\r\n"
        case _:
            return b">2\r\n" + bulk("else") + b"*1\r\n" + bulk("a")


def changed_after(number: int, key: str, sent: Sequence[Step]) -> bool:
    """Whether Redis tells, after a step, that a key has changed."""
    return any(each == ("news", key) or each[0] == "flush" for each in sent[number + 1 :])


async def is_over(unchanged: Unchanged) -> bool:
    """Whether a wait for the end would return."""
    waiting = asyncio.create_task(unchanged.over(LATER))
    for _ in range(3):
        await asyncio.sleep(0)
    ended = waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return ended


@example(sent=[("answer", "a"), ("news", "a"), ("answer", "a")], cuts=[], given_up=set())
@given(sent=steps, cuts=st.lists(st.integers(0, 2000)), given_up=st.sets(st.integers(0, 20)))
def test_answers_and_news(sent: list[Step], cuts: list[int], given_up: set[int]) -> None:
    """Each read gets its own answer, and learns of the changes that Redis tells after it.

    However the bytes are cut, and whoever gives up meanwhile.
    """

    async def run() -> None:
        connection, _ = connected()
        answers = {
            number: connection.ask(("GET", key), LATER * 1000, key.encode())
            for number, (kind, key) in enumerate(sent)
            if kind in ("answer", "refusal")
        }
        for number in given_up & answers.keys():
            answers[number].cancel()
        stream = b"".join(sent_by_redis(*each) for each in enumerate(sent))
        ends = sorted({*(cut % (len(stream) + 1) for cut in cuts), len(stream)})
        for begin, end in zip([0, *ends], ends, strict=False):
            connection.data_received(stream[begin:end])
        for number in answers.keys() - given_up:
            kind, key = sent[number]
            if kind == "refusal":
                assert str(answers[number].exception()) == f"refused {number}"
                continue
            result = answers[number].result()
            content, unchanged = result if key else (result, None)
            assert content == str(number).encode()
            if unchanged:
                assert await is_over(unchanged) == changed_after(number, key, sent)
        assert not connection.is_closed
        connection.abort("the test ends")

    asyncio.run(run())


@pytest.mark.parametrize("ending", ["lost", "late", "unasked", "foreign", "replica"])
async def test_a_connection_that_ends(ending: str) -> None:
    """Whatever ends a connection: commands in flight fail, and so do waits for changes."""
    connection, _ = connected()
    loop = asyncio.get_running_loop()
    read = connection.ask(("GET", "a"), loop.time() + LATER, b"a")
    connection.data_received(bulk("1"))
    _, unchanged = await read
    waiting = asyncio.create_task(unchanged.over(LATER))
    await asyncio.sleep(0)
    end = loop.time() if ending == "late" else loop.time() + LATER
    in_flight = [connection.ask(("GET", "b"), end, b"b"), connection.ask(("GET", "c"), end, b"c")]
    match ending:
        case "lost":
            connection.connection_lost(None)
        case "unasked":
            connection.data_received(b"+1\r\n" * 3)
        case "foreign":
            connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
        case "replica":
            connection.data_received(b"-READONLY You can't write against a read only replica.\r\n")
        case _:
            pass
    ends = await asyncio.gather(*in_flight, waiting, return_exceptions=True)
    expected = 1 if ending == "unasked" else 3
    assert sum(isinstance(each, Exception) for each in ends) == expected
    assert isinstance(ends[-1], ConnectionError)
    with pytest.raises(ConnectionError):
        await unchanged.over(LATER)
    with pytest.raises(ConnectionError):
        connection.ask(("GET", "a"), loop.time() + LATER)


async def test_commands_of_one_turn_are_sent_together() -> None:
    """Commands of one turn of the loop are written once, in their order."""
    connection, wire = connected()
    for number in range(3):
        connection.ask(("ECHO", number), LATER * 1000).cancel()
    await asyncio.sleep(0)
    assert wire.written == [b"".join(b"*2\r\n" + bulk("ECHO") + bulk(str(n)) for n in range(3))]
    connection.abort("the test ends")
