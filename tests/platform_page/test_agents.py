"""Who talks to whom."""

from urllib.parse import parse_qsl

from nooble.page.agents import Visitor, agents


def test_those_with_questions_come_first() -> None:
    """The first agent is the script's first, and every agent can be talked to."""
    assert next(each.id for each in agents().values()) == "meridian/support"
    assert len(agents()) == 6


def test_a_visitor_has_defaults() -> None:
    """What an address does not say, or says wrong, has a default; a conversation is new."""
    visitor, other = Visitor.of({}), Visitor.of({"agent": "nobody/none"})
    assert visitor.agent is other.agent
    assert visitor.user == "u-you"
    assert visitor.conversation != other.conversation


def test_headers_have_no_more_than_a_name() -> None:
    """Line breaks and what is not ASCII get into no header."""
    visitor = Visitor.of({"user": "u\r\nX-Evil: 1 é", "conversation": "c" * 999})
    assert visitor.headers["X-User-ID"] == "uX-Evil:1"
    assert len(visitor.headers["X-Conversation-ID"]) == 60
    assert visitor.headers["X-Tenant-ID"] == "meridian"


def test_an_address_leads_back() -> None:
    """The query of a visitor is the same visitor."""
    visitor = Visitor.of({"agent": "lumen/billing", "user": "a&b=c", "conversation": "c-1"})

    assert Visitor.of(dict(parse_qsl(visitor.query))) == visitor
