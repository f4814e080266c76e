"""The look as a stylesheet: the colours of `relevo_look`, as CSS custom properties."""

from collections.abc import Iterator, Mapping

from relevo_look.look import CALLS, LEVELS, MODES, SOURCES, STATES, Look, Theme

LOOKS: Mapping[str, Mapping[str, Look]] = {
    "source": SOURCES,
    "mode": MODES,
    "call": CALLS,
    "level": LEVELS,
}
"""What has a look of its own, by the kinds of badges. States have the look of their levels."""


def stylesheet() -> str:
    """The stylesheet: colours for both themes, and which colour each badge has.

    The theme is that of the attribute `data-theme` of the root, else the browser's. A badge, a
    line or a bar takes the colour of its attribute `data-look` as `var(--tone)`.
    """
    return "\n".join([*_themes(), *_tones(), ""])


def property_of(kind: str, name: str) -> str:
    """The custom property of a colour: `--source-near-cache`."""
    return f"--{kind}-{name.replace('_', '-')}"


def _themes() -> Iterator[str]:
    yield f":root {{ color-scheme: light; {_colours('light')} }}"
    dark = f"color-scheme: dark; {_colours('dark')}"
    yield f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme]) {{ {dark} }} }}"
    yield f':root[data-theme="dark"] {{ {dark} }}'


def _colours(theme: Theme) -> str:
    return " ".join(
        f"{property_of(kind, name)}: {each.on(theme)};"
        for kind, looks in LOOKS.items()
        for name, each in looks.items()
    )


def _tones() -> Iterator[str]:
    for kind, looks in LOOKS.items():
        for name in looks:
            yield _tone(kind, name, property_of(kind, name))
    for name, state in STATES.items():
        yield _tone("state", name, property_of("level", state.level))


def _tone(kind: str, name: str, colour: str) -> str:
    return f'[data-look="{kind}-{name}"] {{ --tone: var({colour}); }}'
