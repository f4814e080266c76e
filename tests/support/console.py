"""A console that is served to a test, and what it looks at."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from http import HTTPStatus
from typing import Any

import httpx
from relevo_client import ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from relevo_console.app import application
from relevo_console.console import Console, Options
from relevo_console.following import Pace
from relevo_console.sampling import Intervals
from relevo_console.sessions import Sessions
from relevo_console.store import Store
from relevo_web.serving import listen, serving

from support.clients.access import principal
from support.waiting import PATIENCE

MARKED = "MARKED-b7c1e5"
"""A value that no page may show: it is under a key that the store redacts."""
ADMIN = "admin-token"
"""The token of a principal who may do all."""
PRINCIPALS = (
    principal(ADMIN, "*", roles=("read", "write", "invalidate", "admin"), name="ann"),
    principal("viewer-token", "*", roles=("read", "admin"), name="vera"),
    principal("acme-token", "acme", roles=("read", "admin"), name="otto"),
    principal("reader-token", "*", roles=("read",), name="rita"),
)
"""Principals: who may do all, who may only look, who may look at one tenant, and no admin."""
TIMEOUT = 10.0
"""Seconds of a call of the console: a busy machine may hold it up."""
PACE = Pace(collect=0.02, ask=0.05, over=0.2, retry=0.05, calm=2)
"""Pauses of the console's followers, short."""
INTERVALS = Intervals(status=0.05, clients=0.1, proof=0.1)
"""How often the console asks, short."""

AGENT = ContextKey("agent_config", "acme", "support")
CONVERSATION = ContextKey("conversation", "acme", "c-1")


PAGES = (
    "/",
    "/changes",
    "/changes?tenant=acme",
    f"/changes?key={CONVERSATION.text}",
    "/contexts",
    "/contexts?tenant=acme",
    f"/context?ref={CONVERSATION.text}",
    "/turn",
    "/difference",
    f"/difference?left={CONVERSATION.text}&right={AGENT.text}",
    "/clients",
    "/tenants",
    "/tenants/one?id=acme",
    "/tenants/usage?id=acme",
    "/partitions",
    "/invalidate?tenant=acme",
    f"/invalidate?key={CONVERSATION.text}",
    "/invalidate/count?tenant=acme",
    "/sign-in",
)
"""All pages and parts that need no session here."""


def fill(store: LocalStore) -> None:
    """Put an agent's configuration with a secret, and a conversation that includes it."""
    store.client.put(
        AGENT,
        ExecutionContext(
            llm_config={"model": "m-1", "api_key": MARKED}, agent_config={"tools": ["search"]}
        ),
    )
    missing = ContextKey("tenant_config", "acme", "defaults")
    store.client.put(CONVERSATION, ExecutionContext(includes=(missing, AGENT), user_id="u-1"))


@dataclass(frozen=True)
class Served:
    """A console that is served."""

    url: str
    console: Console
    http: httpx.AsyncClient
    """A client without a session, which follows no redirects."""

    async def reaches_store(self) -> bool:
        """Whether the store answers the console."""
        return (await self.http.get("/partitions")).status_code == HTTPStatus.OK

    @asynccontextmanager
    async def signed_in(self, token: str) -> AsyncGenerator[httpx.AsyncClient]:
        """A client with a session."""
        async with client_of(self.url) as client:
            response = await client.post("/sign-in", data={"token": token})
            assert response.status_code == 303, response.text
            yield client


def client_of(url: str) -> httpx.AsyncClient:
    """An HTTP client that uses no proxy."""
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE)


@asynccontextmanager
async def console_of(
    target: str, sessions: Sessions | None = None, *, port: int = 0, **options: Any
) -> AsyncGenerator[Served]:
    """Serve a console of a store. `options` are those of the console."""
    given: dict[str, Any] = {"pace": PACE, "intervals": INTERVALS, **options}
    chosen = Options(**given)
    async with Store(target, None, TIMEOUT) as store:
        console = Console(store, chosen, sessions)
        async with (
            serving(application(console), listen(port=port), at_end=console.streams.end) as url,
            client_of(url) as http,
        ):
            yield Served(url, console, http)


def text_of(html: str) -> str:
    """The words of a page, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


async def events_of(response: httpx.Response, name: str) -> AsyncGenerator[str]:
    """The data of the events of this name."""
    current, data = "", list[str]()
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            current = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line:
            if current == name:
                yield "\n".join(data)
            current, data = "", []
