"""The key ring: its form, what it wraps, and the file or command that it comes from."""

import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from relevo_server.encryption import Encryption
from relevo_server.keys import Key
from relevo_server.storage.encrypted.ring import KeyRing, KeyRingError, UnknownKeyError, name_in
from relevo_server.storage.encrypted.sources import CommandSource, FileSource, source_of
from relevo_server.storage.encrypted.values import OVERHEAD, DataKey
from support.servers.key_rings import ring_text

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYzE="  # 32 bytes


def test_what_is_wrapped() -> None:
    """Every key of the ring unwraps, the primary one wraps, and only what it was bound to."""
    old, both = ring_text("a"), ring_text("b", "a")
    wrapped = KeyRing.parse(old).wrap(b"secret", b"tenant")
    ring = KeyRing.parse(both)
    assert ring.unwrap(wrapped, b"tenant") == b"secret"
    assert (name_in(wrapped), name_in(ring.wrap(b"secret", b"tenant"))) == ("a", "b")
    with pytest.raises(UnknownKeyError):
        KeyRing.parse(ring_text("b")).unwrap(wrapped, b"tenant")
    with pytest.raises(InvalidTag):
        ring.unwrap(wrapped, b"other")
    for i in range(len(wrapped)):
        changed = wrapped[:i] + bytes([wrapped[i] ^ 1]) + wrapped[i + 1 :]
        with pytest.raises((InvalidTag, UnknownKeyError)):
            ring.unwrap(changed, b"tenant")
        with pytest.raises((InvalidTag, UnknownKeyError)):
            ring.unwrap(wrapped[:i], b"tenant")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("primary = ", "is not TOML"),
        (f'secret = "{KEY}"', "nothing but `primary`"),
        ('primary = "a"', "keys: must be a table"),
        (f'primary = "b"\n[keys]\na = "{KEY}"', "primary: must be the name"),
        (f'[keys]\na = "{KEY}"', "primary: must be the name"),
        (f'primary = "a"\n[keys]\na = "{KEY[:-5]}"', "keys.a: must be 32 bytes"),
        (f'primary = "a"\n[keys]\na = "%{KEY}"', "keys.a: must be 32 bytes"),
        ('primary = "a"\n[keys]\na = 7', "keys.a: must be 32 bytes"),
        (f'primary = "a"\n[keys]\n"a b" = "{KEY}"', "a name has"),
        (f'primary = "a"\n[keys]\na = "{KEY}"\nb = "{KEY}"', "the same key"),
    ],
)
def test_malformed_rings(text: str, problem: str) -> None:
    """A malformed ring is refused with what is wrong, and no key is quoted."""
    with pytest.raises(KeyRingError, match=problem) as raised:
        KeyRing.parse(text)
    assert KEY[:8] not in str(raised.value)


async def test_files(tmp_path: Path) -> None:
    """A file that cannot be read is named; a change of the file changes the source's state."""
    path = tmp_path / "ring.toml"
    source = FileSource(path)
    with pytest.raises(KeyRingError, match=r"ring.toml: No such file"):
        await source.load()
    path.write_bytes(b"\xff")
    with pytest.raises(KeyRingError, match="not UTF-8"):
        await source.load()
    before = source.state(0)
    path.write_text(ring_text("a"))
    assert (await source.load()).primary == "a"
    assert source.state(0) != before


@pytest.mark.processes
async def test_commands(tmp_path: Path) -> None:
    """A command's output is the ring; its failure is an error that quotes nothing of it."""
    path = tmp_path / "ring.toml"
    path.write_text(ring_text("a"))
    source = source_of(None, f"cat {path}", 60.0)
    assert (await source.load()).primary == "a"
    assert source.state(0.0) == source.state(59.0) != source.state(60.0)
    script = f"{sys.executable} -c 'import sys; print(\"{KEY}\"); sys.exit(3)'"
    with pytest.raises(KeyRingError, match="ended with 3") as raised:
        await CommandSource(script, 60.0).load()
    assert KEY not in str(raised.value)
    with pytest.raises(KeyRingError, match="cannot be run"):
        await CommandSource("/no/such/command", 60.0).load()
    with pytest.raises(KeyRingError, match="unfinished"):
        source_of(None, "cat 'a", 60.0)


@pytest.mark.parametrize("fields", [{}, {"key_ring": "a", "key_ring_command": "b"}])
def test_one_source(fields: dict[str, str]) -> None:
    """The settings have a file or a command, not both."""
    with pytest.raises(ValueError, match="either key_ring or key_ring_command"):
        Encryption.model_validate(fields)


def test_values_are_encrypted_as_the_page_says() -> None:
    """A value's form is the documented one, and its key is HKDF-SHA256's."""
    context, key = b"\x0a\x01x", Key("conversation", "acme", "c1")
    value = DataKey(b"12345678", b"k" * 32).encrypt(key, context)
    head, salt, nonce = value[:10], value[10:26], value[26:38]
    assert head == b"\x00\x0112345678"
    secret = HKDFExpand(SHA256(), 32, b"relevo value" + salt).derive(b"k" * 32)
    bound = head + salt + b"conversation\x00acme\x00c1"
    assert AESGCM(secret).decrypt(nonce, value[38:], bound) == context
    assert len(value) == len(context) + OVERHEAD


def test_any_bytes_are_a_value_or_none() -> None:
    """Whatever is in the place of a value is refused as one, and by no other error."""
    data_key, key = DataKey(b"12345678", b"k" * 32), Key("conversation", "acme", "c1")
    value = data_key.encrypt(key, b"context")
    for i in range(len(value)):
        for broken in (value[:i], value[:i] + bytes([value[i] ^ 1]) + value[i + 1 :]):
            with pytest.raises(InvalidTag):
                data_key.decrypt(key, broken)
