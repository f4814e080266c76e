"""Encrypted Redis compared with memory, as tests/store/test_stateful does without encryption."""

import asyncio
from pathlib import Path

from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test
from relevo_server.encryption import Encryption
from store.test_stateful import Backends
from support.redis.client import RedisClient


def test_encryption_changes_nothing(redis_url: str, ring: Path) -> None:
    """No sequence of operations tells encrypted values from others (S6)."""
    with asyncio.Runner() as loop, RedisClient(redis_url) as redis:

        class Here(Backends):
            def __init__(self) -> None:
                super().__init__(loop, redis, redis_url, encryption=Encryption(key_ring=ring))

        rules = hypothesis_settings(max_examples=20, stateful_step_count=20)
        run_state_machine_as_test(Here, settings=rules)
