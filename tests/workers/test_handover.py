"""What a supervisor gives to a worker arrives as it was."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import (
    SearchStrategy,
    booleans,
    builds,
    fixed_dictionaries,
    floats,
    integers,
    just,
    lists,
    none,
    sampled_from,
    text,
)
from pydantic import SecretStr
from relevo_server.cli.workers.handover import Handover, kept, of_worker, packed, unpacked
from relevo_server.encryption import Encryption
from relevo_server.identities import Issuer, Principal
from relevo_server.quotas import PatternQuota, Quotas, TenantQuota
from relevo_server.settings import Settings
from relevo_server.ttl import Ttl
from relevo_server.workers import Worker

_names = text("abc-.:é", min_size=1, max_size=8)
_limits = none() | just(math.inf) | integers(0, 10**9)
_principals = builds(
    Principal,
    name=_names,
    token_sha256=sampled_from(["0" * 64, "f" * 64]),
    expires=none() | just(datetime(2027, 1, 31, 12, 30, 5, 250, UTC)),
    tenants=lists(_names, max_size=2).map(tuple),
    roles=none() | just(("read", "write:agent_config")),
)
_settings: SearchStrategy[dict[str, Any]] = fixed_dictionaries(
    {
        "store": sampled_from(["redis://:p%40ss@h:1/0", "redis+sentinel://a,b/m"]).map(SecretStr),
        "principals": lists(_principals, max_size=1).map(tuple),
        "issuers": lists(
            builds(Issuer, name=_names, issuer=_names, audience=_names, jwks=just("k.json")),
            max_size=1,
        ).map(tuple),
        "quotas": builds(
            Quotas,
            default=builds(TenantQuota, calls=_limits, writes=none() | floats(0, 1e9)),
            tenants=lists(builds(PatternQuota, pattern=_names, bytes=_limits), max_size=2).map(
                tuple
            ),
        ),
        "ttl": builds(Ttl, scopes=just({"x": 1.5, "y": 7.0}), sliding=just(("x",))),
        "encryption": none() | builds(Encryption, key_ring=just(Path("/ring"))),
        "metrics_listen": none() | just(":9464"),
        "audit_file": none() | just(Path("/var/log/é")),
        "reflection": booleans(),
        "grace": floats(0.001, 1e6),
        "workers": sampled_from([1, 2, "auto"]),
        "redacted": lists(_names, max_size=3).map(tuple),
    }
)


def same(one: Settings, other: Settings) -> bool:
    """Whether every setting is the same."""
    return all(getattr(one, name) == getattr(other, name) for name in Settings.model_fields)


@given(_settings)
def test_settings_arrive(values: dict[str, Any]) -> None:
    """Every setting is the same at the worker, the store's password too."""
    settings = Settings(**values)
    assert same(unpacked(json.loads(json.dumps(packed(settings)))), settings)


def test_the_environment_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has the supervisor's settings, whatever its own environment says."""
    settings = Settings(ttl=Ttl(scopes={"x": 1.0}))
    monkeypatch.setenv("RELEVO_GRACE", "9")
    monkeypatch.setenv("RELEVO_TTL__SCOPES", '{"y": 2}')
    assert same(unpacked(packed(settings)), settings)


def test_a_whole_handover() -> None:
    """A worker learns who it is."""
    settings = of_worker(Settings(metrics_listen=":9464"), "127.0.0.1:1")
    assert (settings.listen, settings.reuse_port, settings.metrics_listen) == (
        *("127.0.0.1:1", True),
        None,
    )
    handover = Handover(Worker(2, 4), settings, has_metrics=True, beat=0.5)
    arrived = Handover.unpacked(json.loads(json.dumps(handover.packed())))
    assert arrived._replace(settings=settings) == handover
    assert same(arrived.settings, settings)


def test_certificates_stay_together() -> None:
    """If one of the files of TLS needs a restart, all of them stay as they were."""
    before = Settings(grace=1)
    certificate, key = Path("c"), Path("k")
    after = Settings(grace=2, log_level="debug", tls_certificate=certificate, tls_key=key)
    found = kept(before, after, {"tls_certificate"})
    assert (found.tls_certificate, found.tls_key) == (None, None)
    assert (found.grace, found.log_level) == (2, "debug")
