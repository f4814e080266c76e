"""What MkDocs calls while it builds the site: mkdocs.yml names this file.

Pages that are made of code appear under docs/reference, and are in no checkout. Links to files that
are not pages lead to the repository, and pictures become a part of their pages.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs_pages import (
    api,
    commands,
    diagrams,
    hosts,
    instruments,
    links,
    pictures,
    rpcs,
    settings_page,
)
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def _reference() -> Mapping[str, str]:
    return {
        **{f"api/{name}": text for name, text in api.pages().items()},
        **rpcs.pages(rpcs.files()),
        "settings.md": settings_page.page(),
        "commands.md": commands.page(),
        "metrics.md": instruments.page(),
    }


def on_files(files: Files, *, config: MkDocsConfig, **_: Any) -> Files:
    """Add the pages that are made of code."""
    for name, text in _reference().items():
        files.append(File.generated(config, f"reference/{name}", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Let links to files that are not pages lead to the repository, as diagrams do."""
    extra: Any = config.extra
    repository = str(extra["repository"])
    source = page.file.abs_src_path
    if source is None:
        return markdown
    address = f"{repository}blob/main/docs/{page.file.src_uri}"
    return diagrams.folded(links.outward(markdown, Path(source), repository), address)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Put pictures into the page."""
    return pictures.inlined(html, page.url, Path(config.docs_dir))


def on_post_build(*, config: MkDocsConfig, **_: Any) -> None:
    """Refuse a site that loads anything from another host."""
    found = list(hosts.loaded_by(Path(config.site_dir)))
    if found:
        raise PluginError("pages load from other hosts:\n" + "\n".join(found))
