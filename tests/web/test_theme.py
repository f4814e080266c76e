"""The stylesheet that is made of the look."""

import re

import pytest
from relevo_look.look import CALLS, LEVELS, MODES, SOURCES, STATES, Look, Theme
from relevo_web.theme import LOOKS, property_of, stylesheet
from support.contrast import contrast

SURFACES = {"light": ("#ffffff", "#f6f7f9", "#eef0f3"), "dark": ("#191d23", "#111418", "#232932")}
"""The backgrounds of base.css."""


def test_every_look() -> None:
    """Each thing that has a look has its colour in both themes, and a badge of that colour."""
    text = stylesheet()
    for kind, looks in {"source": SOURCES, "mode": MODES, "call": CALLS, "level": LEVELS}.items():
        for name, each in looks.items():
            assert text.count(f"{property_of(kind, name)}: {each.on('dark')};") >= 2
            assert f"{property_of(kind, name)}: {each.on('light')};" in text
            assert f'[data-look="{kind}-{name}"]' in text
    for name, state in STATES.items():
        rule = f'[data-look="state-{name}"] {{ --tone: var({property_of("level", state.level)}); }}'
        assert rule in text


def test_dark_twice() -> None:
    """The dark theme is the browser's unless the reader chose one, and the reader's choice."""
    text = stylesheet()
    assert "@media (prefers-color-scheme: dark) { :root:not([data-theme])" in text
    assert ':root[data-theme="dark"]' in text


def test_kinds() -> None:
    """Names make valid custom properties."""
    for kind, looks in LOOKS.items():
        for name in looks:
            assert re.fullmatch(r"--[a-z]+(-[a-z]+)+", property_of(kind, name))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_levels_are_readable(level: Look, theme: Theme) -> None:
    """The colours of levels are colours of texts: 4.5 to 1 on every background of the theme."""
    for surface in SURFACES[theme]:
        assert contrast(level.on(theme), surface) >= 4.5, surface
