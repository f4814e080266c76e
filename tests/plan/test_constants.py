"""The constants of plans: each is described, and those that settings decide are the settings'."""

import pytest
from relevo_client import CacheOptions
from relevo_client._context import riders
from relevo_client._near_cache import stream_rules
from relevo_plan.constants import measured, parse
from relevo_plan.workload import Workload
from relevo_server.settings import Settings

SETTINGS = Settings()
DEFAULTS = {
    "partitions": SETTINGS.partitions,
    "log_length": SETTINGS.log_length,
    "request_id_ttl": SETTINGS.request_id_ttl,
    "conversation_ttl": SETTINGS.ttl.of("conversation") / 1000,
    "server_caches": SETTINGS.cache_max_bytes + SETTINGS.recent_max_bytes,
    "cache_max_entries": CacheOptions().max_entries,
    "cache_max_bytes": CacheOptions().max_bytes,
    "rider_bytes": riders.MAX_BYTES,
    "slice": stream_rules.SLICE,
    "slice_pause": stream_rules._PAUSE,  # pyright: ignore[reportPrivateUsage]
    "first_pause": stream_rules._FIRST_PAUSE,  # pyright: ignore[reportPrivateUsage]
}
SMALL = """
points = []
[sources.here]
note = "of this test"
[constants]
{constants}
"""


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_default_is_that_of_the_settings(name: str) -> None:
    """A plan calculates with the defaults that servers and clients have."""
    assert getattr(measured().costs(), name) == pytest.approx(DEFAULTS[name])


def test_a_platform_has_the_times_to_live_of_the_settings() -> None:
    """The times that flags change have the settings' defaults, too."""
    plain = Workload()
    assert plain.configuration_ttl == SETTINGS.ttl.of("agent_config") / 1000
    assert plain.snapshot_ttl == SETTINGS.ttl.of("snapshot") / 1000


def test_each_figure_says_what_it_stands_on() -> None:
    """What a command measured has its date and commit; all else says that it is not measured."""
    sources = {each.source for each in measured().constants}
    for source in sources | {each.source for each in measured().points}:
        assert source.note
        if source.is_measured:
            assert source.commit
            assert source.date
    assert all(each.source.is_measured for each in measured().points)
    assert all(each.what for each in measured().constants)


@pytest.mark.parametrize(
    "constants, wrong",
    [
        ('put = { value = 1, unit = "µs", source = "here", what = "x" }', "missing or unknown: .*"),
        ('pat = { value = 1, unit = "h", source = "here", what = "x" }', "pat: has an unknown uni"),
        ('pat = { value = 1, unit = "s", source = "gone", what = "x" }', "pat: has an unknown sou"),
    ],
)
def test_a_file_that_is_wrong(constants: str, wrong: str) -> None:
    """A constant that is missing, unknown, or has no source is named."""
    with pytest.raises(ValueError, match=wrong):
        parse(SMALL.format(constants=constants))
