"""Rules of the platform that need no process: identities, reports, the script, wiring."""

from itertools import pairwise

import pytest
from nooble.observing import SEEN, Seen, adding, all_of
from nooble.script import laps
from nooble.settings import PlainSettings
from nooble.who import IDENTITY, Identity, from_headers, identity_of, to_headers
from nooble.wiring import Wiring

WHO = Identity("acme", "gold", "support", "s-1", "c-1", "u-1")
VERSIONS = {"agent_config:acme:support": 3, "collection_config:acme:manuals": 1}


def test_identities_travel_as_headers() -> None:
    """Headers carry an identity exactly, and their names may have any case."""
    headers = to_headers(WHO)
    assert ("x-tenant-id", "acme") in headers
    assert from_headers(headers) == WHO
    assert from_headers((name.upper(), value) for name, value in headers) == WHO
    assert identity_of(WHO).keys() == set(IDENTITY)


def test_what_is_left_out() -> None:
    """An unknown field has no header, and reads as empty; other headers are ignored."""
    assert to_headers(Identity(tenant_id="acme")) == (("x-tenant-id", "acme"),)
    headers: list[tuple[str, str | bytes]] = [
        ("X-Tenant-ID", "acme"),
        ("x-agent-id", b"binary"),
        ("host", "x"),
    ]
    assert from_headers(headers) == Identity(tenant_id="acme")


def test_what_was_seen_is_added() -> None:
    """Each step appends its report in order, and keeps other metadata."""
    one, two, three = (Seen(name, 1, VERSIONS, 2) for name in ("a", "b", "c"))
    first = adding({"run": "r"}, one)
    both = adding(first, two, three)
    assert both["run"] == "r"
    assert list(all_of(both[SEEN])) == [one, two, three]
    assert list(all_of(first[SEEN])) == [one]


def test_what_was_seen_travels_through_grpc() -> None:
    """A report is the same after it was sent through gRPC."""
    seen = Seen("embedding", 7, VERSIONS, 3, 2)
    assert Seen.from_message(seen.to_message()) == seen


def test_what_a_service_sees() -> None:
    """A report has the versions of configurations, and no other metadata."""
    sections: dict[str, dict[str, object]] = {name: {} for name in PlainSettings.model_fields}
    settings = PlainSettings.model_validate({**sections, "metadata": {**VERSIONS, "owner": "x"}})
    assert Seen.of("query", settings, None).versions == VERSIONS


@pytest.mark.parametrize("count, turns", [(1, 1), (7, 10)])
def test_the_script(count: int, turns: int) -> None:
    """Long conversations take part in all laps; in each, two short ones begin and end."""
    played = list(laps(count, turns))
    assert len(played) == count
    for number, lap in enumerate(played):
        long = [part for part in lap.parts if part.talk.conversation_id.startswith("long")]
        short = [part for part in lap.parts if part not in long]
        assert all(len(part.texts) == turns for part in long)
        assert all(part.is_last == (number == count - 1) for part in long)
        assert len(short) == 2
        assert all(part.is_last for part in short)
        assert lap.turns == sum(len(part.texts) for part in lap.parts)
        # The changed configuration is used in this lap.
        agents = {(part.talk.tenant_id, part.talk.agent_id) for part in lap.parts}
        assert (lap.changed.tenant_id, lap.changed.id) in agents
    talks = [part.talk for lap in played for part in lap.parts if part.is_last]
    assert len(set(talks)) == len(talks)


def test_each_lap_changes_something() -> None:
    """Each lap's change differs from the one before it, so it makes a new version."""
    for one, other in pairwise(laps(6, 1)):
        assert (one.changed, one.changes) != (other.changed, other.changes)
        assert one.changes != other.changes


def test_wiring_is_a_command_line() -> None:
    """A process parses its command line to the same wiring: times as numbers, the rest as text."""
    wiring = Wiring("relevo", "redis://q", "redis://c", "http://m", redeliver_after=0.25)
    assert Wiring.parse(wiring.arguments()) == wiring
    assert Wiring.parse(wiring.arguments()[:4]).redeliver_after == 5


def test_what_wiring_must_say(capsys: pytest.CaptureFixture[str]) -> None:
    """A process without the addresses of the others does not start."""
    with pytest.raises(SystemExit):
        Wiring.parse(["--mode=none"])
    assert "--queues" in capsys.readouterr().err
