"""Settings of servers for callers, quotas, signatures and encryption, for `benchmarks.security`."""

import json
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from support.clients.tokens import AUDIENCE, ISSUER, NAME, TokenIssuer
from support.servers.key_rings import write_ring

from benchmarks import samples
from benchmarks.service import SIGNING_KEYS

_TOKEN = "a-token-of-the-benchmark-of-43-characters-long"  # noqa: S105 - the benchmark's own
_AN_HOUR = 3600
TENANTS = sorted({key.tenant_id for key in samples.entry_keys()})

Metadata = Sequence[tuple[str, str]]


class Variant(NamedTuple):
    """The flags of a server, and the metadata that its callers show."""

    flags: Sequence[str] = ()
    metadata: Metadata = ()


def variants(folder: Path) -> Mapping[str, Variant]:
    """The variants by name. `folder` gets the files that their servers need."""
    issuer = TokenIssuer(folder / "jwks.json")
    issuer.rotate("first", "ES256")
    token = issuer.token(exp=time.time() + _AN_HOUR, relevo_tenants=TENANTS)
    ring, keys = folder / "ring.toml", folder / "reference.keys"
    write_ring(ring, "first")
    keys.write_text(SIGNING_KEYS, "utf-8")
    issuers = _flag("issuers", [_issuer(issuer)])
    # Far above what is written: because they are set, Redis checks each write.
    quotas = _flag("quotas.default", {"entries": 1_000_000, "bytes": 1 << 40})
    signing, encryption = f"--reference-keys={keys}", f"--encryption.key-ring={ring}"
    return {
        "open": Variant(),
        "token": _with_token(tenants=["*"]),
        "roles": _with_token(
            tenants=TENANTS,
            roles=["read:agent_config", "read:conversation", "write:conversation"],
        ),
        "jwt": Variant([issuers], _bearer(token)),
        "quotas": Variant([quotas]),
        "signing": Variant([signing]),
        "encryption": Variant([encryption]),
        "all": Variant([issuers, quotas, signing, encryption], _bearer(token)),
    }


def _with_token(**grants: Any) -> Variant:
    digest = sha256(_TOKEN.encode()).hexdigest()
    principal = {"name": "bench", "token_sha256": digest, **grants}
    return Variant([_flag("principals", [principal])], _bearer(_TOKEN))


def _issuer(issuer: TokenIssuer) -> Mapping[str, Any]:
    return {"name": NAME, "issuer": ISSUER, "audience": AUDIENCE, "jwks": str(issuer.file)}


def _flag(name: str, value: Any) -> str:
    return f"--{name}={json.dumps(value)}"


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)
