"""Links from pages to files of the repository that are not pages.

In the repository they are relative, so that they work in a checkout and on a forge. The site has
no such files, so there they lead to the forge.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?\)")


def outward(markdown: str, page: Path, repository: str) -> str:
    """The page's text with absolute links to files outside of docs/, and to programs in it.

    `repository` is the address of the forge's view of a file, with a slash at the end.
    """

    def link(found: re.Match[str]) -> str:
        target = (page.parent / found[1]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT) or _is_page(target):
            return found[0]  # the build says what is wrong with it
        kind = "tree" if target.is_dir() else "blob"
        return f"]({repository}{kind}/main/{target.relative_to(ROOT).as_posix()}{found[2] or ''})"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def _is_page(target: Path) -> bool:
    return target.is_relative_to(DOCS) and target.suffix in {".md", ".svg", ".png"}
