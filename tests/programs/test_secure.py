"""The settings and the client of the page about security: who may do what, over TLS."""

from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from howto.secure import service
from relevo_client import ContextKey, ContextRef
from relevo_server import settings
from relevo_server.server import Server
from support.network.certificates import self_signed

FILE = Path(service.__file__).with_name("relevo.toml")
TOKENS = {"OWNER'S": "token-of-the-owner", "SERVICES'": "token-of-the-services"}


async def test_settings_and_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the page's settings, a service may write conversations and no agents."""
    pair = self_signed(tmp_path, "server")
    (tmp_path / "ca.crt").write_bytes(pair.certificate_pem)
    (tmp_path / "token").write_text(TOKENS["SERVICES'"])
    text = FILE.read_text("utf-8")
    for shown, real in {
        "0.0.0.0:7390": "127.0.0.1:0",
        "redis://localhost:6379/0": "memory://",
        "/etc/relevo/tls.crt": str(pair.certificate),
        "/etc/relevo/tls.key": str(pair.key),
        **{
            f"DIGEST OF THE {whose} TOKEN": sha256(token.encode()).hexdigest()
            for whose, token in TOKENS.items()
        },
    }.items():
        assert shown in text
        text = text.replace(shown, real)
    (tmp_path / "relevo.toml").write_text(text)
    async with Server(settings.load(tmp_path / "relevo.toml")) as server:
        monkeypatch.setattr(service, "STORE", server.address)
        monkeypatch.setattr(service, "FOLDER", str(tmp_path))
        await service.main()
    assert capsys.readouterr().out.splitlines() == [
        "may write a conversation",
        "may not write an agent's configuration: ROLE_DENIED",
    ]


@pytest.mark.parametrize("name, may", [(b"acme", True), (b"globex", False)])
def test_a_certificate_names_the_tenant(name: bytes, *, may: bool) -> None:
    """A caller works for the tenant that its certificate names, and for no other."""
    call: Any = SimpleNamespace(auth_context=lambda: {"x509_common_name": [name]})
    ref = ContextRef(ContextKey("conversation", "acme", "c-1"), 1)
    assert service.may(ref, call) is may
