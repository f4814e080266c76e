"""Invalidation: the only thing that can be changed from here, after a page that says what ends."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relevo.v1 import store_pb2
from relevo_server.keys import Key, part_problem
from relevo_web.forms import form_of
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from relevo_console.console import Console
from relevo_console.problems import Kind, StoreCallError
from relevo_console.store import Viewer
from relevo_console.views import tenants


@dataclass(frozen=True)
class _Target:
    """The entries to invalidate: one, or all of a tenant or of one scope of it."""

    tenant: str
    scope: str = ""
    key: Key | None = None

    @property
    def name(self) -> str:
        """The text to type as a confirmation."""
        return str(self.key) if self.key else self.tenant

    def selected(self) -> Key | store_pb2.TenantSelector:
        """The target as the store is asked for it."""
        return self.key or store_pb2.TenantSelector(tenant_id=self.tenant, scope=self.scope)


def routes(console: Console) -> Sequence[Route]:
    """The routes of the pages; none if the console is read-only."""
    if console.options.is_read_only:
        return ()

    def page(
        request: Request, target: _Target, *, is_there: bool = True, wrong: str = ""
    ) -> Response:
        return console.page(
            request,
            "invalidate.html",
            status=400 if wrong else 200,
            target=target,
            is_there=is_there,
            request_id=uuid.uuid4().hex,
            wrong=wrong,
        )

    async def ask(request: Request, viewer: Viewer) -> Response:
        await viewer.status()
        target = _target(request.query_params)
        if target is None:
            return _unnamed(console, request)
        is_there = True
        if target.key:
            try:
                await viewer.explain(target.key)
            except StoreCallError as problem:
                if problem.kind is not Kind.ABSENT:
                    raise
                is_there = False
        return page(request, target, is_there=is_there)

    async def count(request: Request, viewer: Viewer) -> Response:
        target = _target(request.query_params)
        if target is None:
            return Response("Which tenant?", 400)
        view = tenants.usage(await viewer.usage(target.tenant))
        scopes = [each for each in view.scopes if target.scope in ("", each.name)]
        entries = sum(each.entries for each in scopes)
        return HTMLResponse(console.part("ending.html", entries=entries, scopes=scopes))

    async def invalidate(request: Request, viewer: Viewer) -> Response:
        fields = await form_of(request)
        target = _target(fields)
        if target is None:
            await viewer.status()
            return _unnamed(console, request)
        if fields.get("confirmed", "").strip() != target.name:
            await viewer.status()
            return page(request, target, wrong="This is another name: nothing has ended.")
        request_id = fields.get("request", "")[:64] or uuid.uuid4().hex
        result = await viewer.invalidate(target.selected(), request_id)
        return console.page(request, "invalidated.html", target=target, result=result)

    return (
        Route("/invalidate", console.shown(ask), methods=["GET"]),
        Route("/invalidate/count", console.shown(count), methods=["GET"]),
        Route("/invalidate", console.shown(invalidate), methods=["POST"]),
    )


def _unnamed(console: Console, request: Request) -> Response:
    text = "Nothing is named that could end: give a key, or a tenant."
    return console.page(request, "lost.html", status=400, text=text)


def _target(fields: Mapping[str, str]) -> _Target | None:
    """The target that fields name; None if they name none, or no valid key."""
    if fields.get("key"):
        try:
            key = Key.parse(fields["key"])
        except ValueError:
            return None
        return _Target(key.tenant_id, key.scope, key)
    tenant, scope = fields.get("tenant", ""), fields.get("scope", "")
    # A `*` is a principal's word for all. Here it would be the name of one.
    if "*" in (tenant, scope) or part_problem(tenant) or (scope and part_problem(scope)):
        return None
    return _Target(tenant, scope)
