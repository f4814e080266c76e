"""The contexts of a tenant: their keys, in pages."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from relevo.admin.v1 import admin_pb2
from relevo_cli import keys
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.store import Viewer

_PAGE = 100
"""The keys of one page."""
_PATIENCE = 0.1
"""Seconds for which a page that is not full is searched on. Then the viewer is asked."""


@dataclass(frozen=True)
class _Found:
    """A part of a tenant's keys."""

    keys: Sequence[tuple[str, admin_pb2.KeyInfo]] = ()
    """The keys with their texts, in the order of these."""
    following: str = ""
    """The token of the next page, "" if this is the last."""


def routes(console: Console) -> Sequence[Route]:
    """The route of the page."""

    async def contexts(request: Request, viewer: Viewer) -> Response:
        query = request.query_params
        tenant, scope = query.get("tenant", "").strip(), query.get("scope", "").strip()
        tenants = await console.tenants(viewer)
        found = await _page(viewer, tenant, scope, query.get("after", "")) if tenant else _Found()
        return console.page(
            request,
            "contexts.html",
            tenant=tenant,
            scope=scope,
            tenants=tenants,
            found=found,
            is_first=not query.get("after"),
        )

    return (Route("/contexts", console.shown(contexts)),)


async def _page(viewer: Viewer, tenant: str, scope: str, after: str) -> _Found:
    """One page of keys.

    A store with many other tenants' keys answers with empty pages: some of them are passed over.
    """
    end = time.monotonic() + _PATIENCE
    found: dict[str, admin_pb2.KeyInfo] = {}
    while True:
        page = await viewer.keys(tenant, scope, after, _PAGE)
        found.update((keys.text(each.key), each) for each in page.keys)
        after = page.next_page_token
        if not after or len(found) >= _PAGE / 2 or time.monotonic() > end:
            return _Found(sorted(found.items(), key=lambda each: each[0]), after)
