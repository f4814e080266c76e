"""Whether a page loads anything from another host: readers are nobody else's business."""

import re
from collections.abc import Iterator
from pathlib import Path

_LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon|manifest))"""
    r"""[^>]*\bhref=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|@import\s+["']?(?:url\()?["']?((?:https?:)?//[^"'\s)]+)"""
    r"""|url\(["']?((?:https?:)?//[^"'\s)]+)""",
    re.IGNORECASE,
)


def loaded(text: str) -> list[str]:
    """The addresses of other hosts from which a page or a style sheet loads something."""
    return [next(filter(None, found.groups())) for found in _LOADS.finditer(text)]


def loaded_by(site: Path) -> Iterator[str]:
    """The same for all pages and style sheets of a site, each with its file."""
    for file in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        for address in loaded(file.read_text("utf-8")):
            yield f"{file.relative_to(site)}: {address}"
