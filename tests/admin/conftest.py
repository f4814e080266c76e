"""Fixtures of the Admin service's tests."""

from collections.abc import AsyncIterator

import pytest
from relevo_server.server import Server
from support.clients.admin import AdminStub, admin_of


@pytest.fixture
async def admin(server: Server) -> AsyncIterator[AdminStub]:
    """The Admin service's stub on a real channel to the server."""
    async with admin_of(server.address) as stub:
        yield stub
