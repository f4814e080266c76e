"""Tenants, and what each uses of its quotas."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.store import Viewer
from relevo_console.views import tenants


def routes(console: Console) -> Sequence[Route]:
    """The routes of the pages."""

    async def page(request: Request, viewer: Viewer) -> Response:
        sort = request.query_params.get("sort", "calls")
        sort = sort if sort in tenants.ORDERS else "calls"
        top = await console.ranking(viewer, tenants.ORDERS[sort])
        return console.page(
            request,
            "tenants.html",
            tenants=[tenants.tenant(each) for each in top.tenants] if top else None,
            error=top.error if top else 0,
            sort=sort,
            sorts=list(tenants.ORDERS),
        )

    async def one(request: Request, viewer: Viewer) -> Response:
        await viewer.status()
        return console.page(request, "tenant.html", tenant=request.query_params.get("id", ""))

    async def usage(request: Request, viewer: Viewer) -> Response:
        tenant = request.query_params.get("id", "")
        view = tenants.usage(await viewer.usage(tenant))
        return HTMLResponse(console.part("usage.html", view=view, tenant=tenant))

    return (
        Route("/tenants", console.shown(page)),
        Route("/tenants/one", console.shown(one)),
        Route("/tenants/usage", console.shown(usage)),
    )
