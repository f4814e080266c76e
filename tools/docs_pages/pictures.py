"""Pictures in pages: SVG files become a part of the page, and so have the colours of its theme."""

import posixpath
import re
from pathlib import Path

_IMAGE = re.compile(r'<img alt="([^"]*)" src="([^":]+\.svg)"\s*/?>')


def inlined(html: str, url: str, docs: Path) -> str:
    """The HTML of the page at `url` with the SVG files of `docs` in place of its images of them.

    Raises FileNotFoundError if there is no such file.
    """

    def picture(found: re.Match[str]) -> str:
        svg = (docs / posixpath.normpath(posixpath.join(url, found[2]))).read_text("utf-8")
        # Inline, a picture is read by its label, which is the text of the page's image.
        labelled = svg.replace("<svg ", f'<svg role="img" aria-label="{found[1]}" ', 1)
        return f'<span class="picture">{labelled}</span>'

    return _IMAGE.sub(picture, html)
