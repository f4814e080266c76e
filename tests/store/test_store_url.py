"""The setting `store`: a URL, or a file with one."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from relevo_server.settings import Settings

SECRET = "redis://relevo:hush@redis:6379/0"  # noqa: S105 - a test's own


def problem(store: str) -> str:
    """The message for a value."""
    with pytest.raises(ValidationError) as raised:
        Settings(store=SecretStr(store))
    return raised.value.errors()[0]["msg"]


def test_a_file_has_the_url(tmp_path: Path) -> None:
    """`file:///…` stands for what the file has, without the end of its line."""
    file = tmp_path / "url"
    file.write_text(f"{SECRET}\n")
    assert Settings(store=SecretStr(f"file://{file}")).store.get_secret_value() == SECRET


def test_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    """A file that is missing, empty, no text, or without a URL is named; its content is not."""
    file = tmp_path / "url"
    assert problem(f"file://{file}").endswith(f"{file}: No such file or directory")
    for content in (b"", b"hush", b"file:///etc/passwd"):
        file.write_bytes(content)
        assert "the content of the file must begin with memory://" in problem(f"file://{file}")
        assert "hush" not in problem(f"file://{file}")
    file.write_bytes(b"\xff")
    assert problem(f"file://{file}").endswith(f"{file}: is not UTF-8")
    assert "three slashes" in problem("file://relative/url")


def test_a_url_of_another_kind() -> None:
    """A scheme that is none of a store's is refused, without the URL."""
    text = problem("postgres://relevo:hush@db")
    assert "must begin with memory://, redis://" in text
    assert "hush" not in text
