"""Mermaid diagrams, which a forge draws: the site shows their text, and a link to the drawing.

To draw them, a page would have to load three megabytes of script. What draws them without a browser
cuts their labels.
"""

import re
from textwrap import indent

_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def folded(markdown: str, address: str) -> str:
    """The page's text with its diagrams folded. `address` is the page's on the forge."""

    def fold(found: re.Match[str]) -> str:
        text = indent(f"[See it drawn]({address}).\n\n```text\n{found[1]}```\n", "    ")
        return f'??? abstract "Diagram"\n\n{text}'

    return _DIAGRAM.sub(fold, markdown)
