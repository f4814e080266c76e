"""Principals in the settings: which are refused, and tokens that expire."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode
from pydantic import ValidationError
from relevo.v1.store_pb2 import GetRequest
from relevo_server.identities import Principal
from relevo_server.settings import Settings
from support.clients.access import bearer, principal
from support.clients.calls import TIMEOUT, key
from support.failures import failure_of
from support.servers.process import relevo_ends
from support.servers.serving import serving

ROOT = Path(__file__).parents[2]
DIGEST = "[0-9a-f]{64}"


@pytest.fixture
def store_url() -> str:
    """Memory, as principals are the same for every backend."""
    return "memory://"


def digest(token: str) -> str:
    """What the settings have of a token."""
    return sha256(token.encode()).hexdigest()


def problems(*principals: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with these principals, by the field."""
    try:
        Settings.model_validate({"principals": principals})
    except ValidationError as error:
        found = error
    else:
        return {}
    assert not re.search(DIGEST, str(found)), "an error quotes no secret"
    return {".".join(map(str, each["loc"])): each["msg"] for each in found.errors()}


def known(name: str, token: str, **rest: Any) -> dict[str, Any]:
    """A principal in the settings."""
    return {"name": name, "token_sha256": digest(token), "tenants": ["acme"], **rest}


def test_each_has_a_token_of_its_own() -> None:
    """Two principals with one token are refused: the second's field is named."""
    assert problems(known("a", "x"), known("b", "y")) == {}
    wrong = problems(known("a", "x"), known("b", "y"), known("c", "x"), known("d", "y"))
    assert wrong == {
        "principals.2.token_sha256": "is that of principals.0 too",
        "principals.3.token_sha256": "is that of principals.1 too",
    }


def test_each_has_a_name_of_its_own() -> None:
    """Two principals with one name are refused: the record of a change would say nothing."""
    wrong = problems(known("a", "x"), known("a", "y"))
    assert wrong == {"principals.1.name": "is that of principals.0 too"}


def test_an_empty_token() -> None:
    """The digest of the empty token is refused: `authorization: Bearer ` would open the tenants."""
    wrong = problems(known("a", "x"), known("b", ""))
    assert "empty" in wrong["principals.1.token_sha256"]


def test_what_everybody_knows() -> None:
    """Every digest that a page or an example shows is refused, and so are words for tokens."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*")]
    examples = [each for each in ROOT.glob("examples/**/*") if each.suffix in (".py", ".toml")]
    shown = {
        found
        for page in (*pages, *examples)
        if page.is_file()
        for found in re.findall(rf"token_sha256\W+({DIGEST})", page.read_text("utf-8"))
    }
    assert shown, "the pages show how a principal is set"
    for each in (*shown, digest("TOKEN"), digest("test")):
        wrong = problems({"name": "a", "token_sha256": each, "tenants": ["acme"]})
        assert "example" in wrong["principals.0.token_sha256"]


def test_the_command_names_the_field(tmp_path: Path) -> None:
    """`relevo serve` ends with 2, and a line with the field and the file, without a digest."""
    file = tmp_path / "relevo.toml"
    one = f'name = "a"\ntoken_sha256 = "{digest("x")}"\ntenants = ["acme"]\n'
    other = one.replace('"a"', '"b"')
    file.write_text(f"[[principals]]\n{one}[[principals]]\n{other}")
    ended = relevo_ends("--listen", "127.0.0.1:0", "--config", str(file))
    assert ended.returncode == 2
    line = f"relevo serve: principals.1.token_sha256: is that of principals.0 too ({file})"
    assert ended.stderr.splitlines() == [line]


@pytest.mark.parametrize(
    "roles, problem",
    [
        ([], "must not be empty"),
        (["reader"], "must be read, write, invalidate or admin"),
        (["read:"], "must not be empty"),
        (["Read"], "must be read"),
        (["read:a\nb"], "control characters"),
        (["read", "write:agent_config", "invalidate:*", "admin"], ""),
    ],
)
def test_roles(roles: list[str], problem: str) -> None:
    """A role is one of four words, for all scopes or with one scope."""
    wrong = problems(known("a", "x", roles=roles))
    assert len(wrong) == bool(problem)
    for field, text in wrong.items():
        assert field.startswith("principals.0.roles")
        assert problem in text


def test_roles_by_default() -> None:
    """A principal without roles may read, write and invalidate; `admin` adds its role."""
    plain = Principal.model_validate(known("a", "x"))
    assert plain.grants == dict.fromkeys(("read", "write", "invalidate"))
    deprecated = Principal.model_validate(known("a", "x", roles=["read:s", "read:t"], admin=True))
    assert deprecated.grants == {"read": frozenset({"s", "t"}), "admin": None}


@pytest.mark.parametrize("expires", ["2030-01-01T00:00:00", "soon"])
def test_a_time_without_an_offset(expires: str) -> None:
    """`expires` is a time with an offset from UTC: nobody has to guess the zone."""
    assert "principals.0.expires" in problems(known("a", "x", expires=expires))


async def test_an_expired_token(settings: Settings) -> None:
    """A token that has expired is UNAUTHENTICATED, and the error says so."""
    now = datetime.now(UTC)
    principals = (
        principal("old", "acme", expires=now - timedelta(seconds=1)),
        principal("new", "acme", expires=now + timedelta(hours=1)),
    )
    async with serving(settings.model_copy(update={"principals": principals})) as stub:
        request = GetRequest(key=key())
        old = await failure_of(stub.Get(request, metadata=bearer("old"), timeout=TIMEOUT))
        new = await failure_of(stub.Get(request, metadata=bearer("new"), timeout=TIMEOUT))
        none = await failure_of(stub.Get(request, metadata=bearer("none"), timeout=TIMEOUT))
    assert (old.code, old.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert "has expired" in old.message
    assert new.reason == "NO_ENTRY"
    assert "expired" not in none.message
