"""Templates: what they escape, refuse and show."""

import html
import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import jinja2
import pytest
from relevo_look import look
from relevo_look.look import Look, State
from relevo_web.pages import Link, embedded, iso, moment
from support.web.client import client_of
from support.web.sample import MOMENT, Sample


@pytest.fixture(scope="module")
def sample() -> Sample:
    """A site with one of everything."""
    return Sample()


async def test_page(sample: Sample) -> None:
    """A page has a title, its navigation with the current page, and its stream."""
    async with client_of(sample.app()) as client:
        text = (await client.get("/second")).text
    assert "<title>Second · Sample</title>" in text
    assert "<h1>Second</h1>" in text
    assert '<a href="/second" aria-current="page">Second</a>' in text
    assert '<a href="/">Start</a>' in text
    assert 'sse-connect="/events"' in text


def test_no_inline(sample: Sample) -> None:
    """A page has no script, style or handler of its own: the policy would block it."""
    text = sample.pages.text("sample.html", path="/", value=1, at=MOMENT)
    for forbidden in (" style=", "<style", " onclick=", "javascript:", "hx-on", "js:"):
        assert forbidden not in text
    assert text.count("<script") == text.count("<script src=") + text.count(
        '<script type="module" src='
    )


def macro(sample: Sample, call: str, **context: object) -> str:
    """What a macro writes."""
    template = "{% import 'web/macros.html' as ui %}{{ ui." + call + " }}"
    return sample.pages.rendered(template, **context)


@pytest.mark.parametrize("kind", ["source", "mode", "call", "level", "state"])
def test_badges(sample: Sample, kind: str) -> None:
    """A badge has the word and the meaning of the look, as terminals have."""
    kinds: Mapping[str, Mapping[str, Look | State]] = {
        "source": look.SOURCES, "mode": look.MODES, "call": look.CALLS,
        "level": look.LEVELS, "state": look.STATES,
    }  # fmt: skip
    for name, each in kinds[kind].items():
        text = html.unescape(macro(sample, f"badge('{kind}', '{name}')"))
        assert f'data-look="{kind}-{name}"' in text
        assert f'title="{each.meaning}"' in text
        assert text.endswith(f"{each.word}</span>")


def test_escaping(sample: Sample) -> None:
    """What is shown is text, wherever it stands."""
    bad = "<script>\"'&"
    for call in (
        *("cell('K', bad)", "notice(bad)", "error(bad, bad)", "empty(bad)"),
        *("facts([(bad, bad)])", "field(bad, 'name', bad)", "figure(bad, bad, bad)"),
    ):
        text = macro(sample, call, bad=bad)
        assert "<script" not in text
        assert "&lt;script&gt;&#34;" in text


def test_unknown_names(sample: Sample) -> None:
    """A template that names what does not exist fails, and shows no hole."""
    with pytest.raises(jinja2.UndefinedError):
        sample.pages.rendered("{{ nothing }}")
    with pytest.raises(jinja2.UndefinedError):
        macro(sample, "badge('source', 'nothing')")


def test_embedded() -> None:
    """Data for scripts stands in an attribute; whatever is in it, it is not more than data."""
    value = {"word": "a \"quoted\" </script> 'word' & more", "values": [1, None]}
    text = str(embedded(value))
    assert '"' not in text
    assert "<" not in text
    assert json.loads(html.unescape(text)) == value


def test_times(sample: Sample) -> None:
    """A time is for machines and for people: in UTC, whatever zone it came with."""
    east = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert iso(east) == "2026-11-29T05:31:08.250Z"
    assert moment(east) == "2026-11-29 05:31:08 UTC"
    text = macro(sample, "time(at)", at=east)
    assert 'datetime="2026-11-29T05:31:08.250Z"' in text
    assert ">2026-11-29 05:31:08 UTC<" in text
    assert macro(sample, "time(none)") == "-"
    assert isinstance(east, datetime)


def test_units(sample: Sample) -> None:
    """Numbers have the units that they have on terminals."""
    assert sample.pages.rendered("{{ 1536|size }}") == "1.5 KiB"
    assert sample.pages.rendered("{{ 0.00035|duration }}") == "350 µs"
    assert macro(sample, "count(100000)") == "100,000"
    assert "98.3 %" in macro(sample, "share(983, 1000, 'Served')")
    assert "-" in macro(sample, "share(0, 0, 'Served')")
    assert macro(sample, "count(none)") == "-"


@pytest.mark.parametrize(
    "link, path, is_current",
    [("/", "/", True), ("/", "/contexts", False), ("/contexts", "/contexts", True),
     ("/contexts", "/contexts/one", True), ("/contexts", "/contextsandmore", False)],
)  # fmt: skip
def test_current(link: str, path: str, is_current: bool) -> None:
    """A link of the navigation is current on its own page and on those below it."""
    assert Link(link, "Word").is_current(path) is is_current
