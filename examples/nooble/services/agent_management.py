"""Agent management: the service that owns the configuration of agents and collections."""

import asyncio
from contextlib import AsyncExitStack

from relevo_client import AsyncContextClient, ContextKey, InvalidFieldError, UnavailableError
from relevo_demo import files
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from nooble.channels import store_channel
from nooble.configuration import Configurations, UnknownError
from nooble.services.running import run, serve_http
from nooble.wiring import STALENESS, Wiring


class AgentManagement:
    """Returns and changes configurations, and counts the requests for them."""

    def __init__(self, contexts: AsyncContextClient | None) -> None:
        self._configurations = Configurations(files.configurations())
        self._contexts = contexts
        self._reads = 0

    def app(self) -> Starlette:
        """The HTTP application."""
        return Starlette(
            routes=[
                Route("/configurations/{key}", self.get),
                Route("/configurations/{key}", self.change, methods=["PATCH"]),
                Route("/composed/{key}", self.composed),
                Route("/forms/{key}", self.form),
                Route("/counts", self.counts),
            ],
            exception_handlers={UnknownError: _unknown},
        )

    async def get(self, request: Request) -> JSONResponse:
        """Return one configuration."""
        self._reads += 1
        return JSONResponse(self._configurations.get(_key(request)).to_cache_dict())

    async def composed(self, request: Request) -> JSONResponse:
        """Return an agent's configuration, composed with its collections', in one request."""
        self._reads += 1
        return JSONResponse(self._configurations.composed(_key(request)).to_cache_dict())

    async def change(self, request: Request) -> JSONResponse:
        """Change values, with Relevo by one Put. The next turn of every conversation uses them."""
        key = _key(request)
        try:
            changed = self._configurations.change(key, await request.json())
        except ValueError:
            raise HTTPException(400, "not the changes of a configuration") from None
        if self._contexts:
            try:
                await self._contexts.put(key, changed)
            except UnavailableError:
                # It is changed here, but other services may still use the old version.
                raise HTTPException(503, "the change is not published yet; repeat it") from None
            # Caches have the change within milliseconds. After this wait no cache has the old
            # version any more, even if the messages about the change were lost.
            await asyncio.sleep(STALENESS)
        return JSONResponse({"version": changed.metadata[key.text]})

    async def form(self, request: Request) -> JSONResponse:
        """Return one configuration for a form that changes it: services do not ask for this."""
        return JSONResponse(self._configurations.get(_key(request)).to_cache_dict())

    async def counts(self, _: Request) -> JSONResponse:
        """Return the number of requests for a configuration."""
        return JSONResponse({"reads": self._reads})


async def _unknown(request: Request, error: Exception) -> Response:
    del request, error
    return PlainTextResponse("Not Found", 404)


def _key(request: Request) -> ContextKey:
    try:
        return ContextKey.parse(request.path_params["key"])
    except InvalidFieldError as error:
        raise HTTPException(400, str(error)) from None


async def main(wiring: Wiring) -> None:
    """Serve until SIGTERM."""
    async with AsyncExitStack() as stack:
        contexts = None
        if wiring.mode == "relevo":
            channel = await stack.enter_async_context(store_channel(wiring.store))
            client = AsyncContextClient(channel=channel, cache=None)
            contexts = await stack.enter_async_context(client)
        await serve_http(AgentManagement(contexts).app())


if __name__ == "__main__":
    run("agent_management", main)
