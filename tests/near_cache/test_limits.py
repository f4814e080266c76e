"""How much one stream may ask of a server."""

import pytest
from relevo_server.settings import Settings
from support.clients.calls import key, put
from support.clients.watching import Watch
from support.servers.serving import serving


@pytest.mark.parametrize("store_url", ["memory"], indirect=True)
async def test_as_many_keys_as_allowed(settings: Settings) -> None:
    """A stream watches `watch_max_keys` keys, the same one any number of times.

    One more is declined, and the others go on. A key that it watches no more makes room.
    """
    limit = 3
    settings = settings.model_copy(update={"watch_max_keys": limit})
    async with serving(settings) as stub, Watch(stub) as watch:
        for number in [*range(limit), *range(limit)]:
            await watch.answer(watch.subscribe(key(id=f"c{number}")))
        watch.unsubscribe(key(id="c0"))
        await watch.answer(watch.subscribe(key(id="c8")))
        answer = await watch.answer(watch.subscribe(key(id="c9")))
        assert answer.invalidated.is_changed
        version = (await put(stub, key(id="c8"))).revision
        assert (await watch.news()).entry.version == version
