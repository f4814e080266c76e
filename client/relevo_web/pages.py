"""Pages: templates with the words, the colours and the units of terminals.

Templates escape what they show, and fail on names that do not exist. What they can use:

- the layout: `{% extends "web/layout.html" %}`; macros: `{% import "web/macros.html" as ui %}`
- filters: `size`, `duration`, `iso` (a moment for machines), `moment` (for people)
- globals: `asset(name)`, `look` (words and colours), `looks` (the same by kinds of badges),
  `percent(part, whole)`
- of each page: `site` (its name and navigation), `path` (where it is)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from relevo_look import look, units
from starlette.requests import Request
from starlette.responses import HTMLResponse

from relevo_web.asset_files import Assets
from relevo_web.theme import LOOKS


@dataclass(frozen=True)
class Link:
    """A link of the navigation."""

    path: str
    """The path of its page. Pages below it are its own: `/contexts` has `/contexts/one`."""
    word: str
    """Its name: a short noun."""

    def is_current(self, path: str) -> bool:
        """Whether a page is the one to which it leads, or below that."""
        return path == self.path or path.startswith(f"{self.path}/")


@dataclass(frozen=True)
class Site:
    """The common parts of all pages of a site."""

    name: str
    """Its name: the end of every title."""
    links: Sequence[Link] = ()
    """The navigation, in its order."""
    stylesheets: Sequence[str] = ()
    """Names of assets that every page loads besides those that all sites share."""
    scripts: Sequence[str] = ()
    """The same, for ES modules."""
    events: str | None = None
    """The path of the stream of events that every page opens; None if a page opens its own."""


class Pages:
    """Renders the templates of a package, in its folder `templates`.

    `more` are further globals of the templates.
    """

    def __init__(
        self, package: str, site: Site, assets: Assets, more: Mapping[str, Any] | None = None
    ) -> None:
        self.assets = assets
        self._environment = _environment(package)
        names: dict[str, Any] = self._environment.globals  # Jinja says that they are of its types
        names.update(
            asset=assets.url,
            look=look,
            looks={**LOOKS, "state": look.STATES},
            percent=units.percent,
            site=site,
            **more or {},
        )

    def text(self, template: str, /, **context: Any) -> str:
        """The HTML of a template: of a part of a page, for an event."""
        return self._environment.get_template(template).render(context)

    def rendered(self, source: str, /, **context: Any) -> str:
        """The HTML of the text of a template."""
        return self._environment.from_string(source).render(context)

    def page(
        self, request: Request, template: str, /, *, status: int = 200, **context: Any
    ) -> HTMLResponse:
        """A response with the HTML of a template."""
        return HTMLResponse(self.text(template, path=request.url.path, **context), status)


def _environment(package: str) -> Environment:
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("relevo_web")])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        size=units.size,
        duration=units.duration,
        iso=iso,
        moment=moment,
        embedded=embedded,
    )
    return environment


def iso(moment: datetime) -> str:
    """A moment for machines: `2026-11-29T05:31:08.250Z`."""
    utc = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return utc.replace("+00:00", "Z")


def moment(moment: datetime) -> str:
    """A moment for people, in UTC, for where no script runs: `2026-11-29 05:31:08 UTC`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def embedded(value: Any) -> Markup:
    """A value as JSON for an attribute in double quotes."""
    return Markup.escape(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
