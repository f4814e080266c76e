"""Signatures of references: the vectors, which every implementation has to pass."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from relevo_client import ContextKey, ContextRef
from relevo_client._context.signatures import expiry_of, is_genuine, keys_of, later, prepared
from relevo_server.keys import Key
from relevo_server.service.signing import Signer

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).with_name("signature_vectors.json").read_text("utf-8")
)
KEYS = {name: b64decode(secret) for name, secret in VECTORS["keys"].items()}
VERIFIERS = prepared(KEYS)
FILE = "# the first one signs\n\n" + "".join(
    f"{name}  {secret}\n" for name, secret in VECTORS["keys"].items()
)


def ref_of(vector: dict[str, Any]) -> ContextRef:
    """The reference of a vector."""
    revision = int(vector.get("context_revision") or vector["revision"])
    return ContextRef(ContextKey.parse(vector["key"]), revision, vector["signature"])


@pytest.mark.parametrize("vector", VECTORS["signed"], ids=lambda each: each["key"][:40])
def test_what_the_store_signs(vector: dict[str, Any], tmp_path: Path) -> None:
    """The server signs each vector exactly so, and the client accepts it until it expires."""
    file = tmp_path / "keys"
    file.write_text(FILE)
    signer = Signer(file, 3600, clock=lambda: vector["expiry"] - 3600)
    assert signer.sign(Key.parse(vector["key"]), int(vector["revision"])) == vector["signature"]
    ref = ref_of(vector)
    assert is_genuine(ref, VERIFIERS, vector["expiry"] - 1)
    assert not is_genuine(ref, VERIFIERS, vector["expiry"])
    assert is_genuine(ContextRef(ref.key, ref.revision + 1, ref.signature), VERIFIERS, 0)
    assert not is_genuine(ContextRef(ref.key, ref.revision - 1, ref.signature), VERIFIERS, 0)
    assert expiry_of(vector["signature"]) == vector["expiry"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda each: each["why"])
def test_what_is_refused(vector: dict[str, Any]) -> None:
    """A signature that is wrong in any part, or malformed, is refused."""
    assert not is_genuine(ref_of(vector), VERIFIERS, vector["now"])


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "has no key"),
        ("# a c2VjcmV0\n", "has no key"),
        ("one\n", "line 1: must be a name"),
        ("# x\none two three\n", "line 2: must be a name"),
        ("a.b c2VjcmV0\n", "line 1: must be a name"),
        ("a" * 17 + " c2VjcmV0\n", "line 1: must be a name"),
        ("a secret!\n", "line 1: the secret of a is not base64"),
        ("a c2VjcmV0\n", "line 1: the secret of a is below 16 bytes"),
        (f"a {'QUFB' * 8}\na {'QUFB' * 8}\n", "line 2: a is there twice"),
    ],
)
def test_files_that_are_no_keys(text: str, problem: str, tmp_path: Path) -> None:
    """Both sides refuse a malformed file with its line, and quote no secret."""
    with pytest.raises(ValueError, match=f"^{problem}") as caught:
        keys_of(text)
    assert "c2VjcmV0" not in str(caught.value)
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ValueError, match=problem) as caught:
        Signer(file, 3600)
    assert str(caught.value).startswith(f"reference_keys: {file}: ")
    assert "c2VjcmV0" not in str(caught.value)


def test_both_sides_read_a_file_alike() -> None:
    """The keys of a file, without comments and empty lines."""
    assert keys_of(FILE) == KEYS


def test_the_later_signature() -> None:
    """Of two signatures the one that expires later is passed on; an unknown form never expires."""
    one, other = "k.100.1.m", "k.200.1.m"
    assert later(one, other) == later(other, one) == other
    assert later(one, "") == later("", one) == one
    assert later(one, "new-form") == "new-form"
