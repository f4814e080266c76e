"""`relevo serve` takes over changed settings: on SIGHUP, and by itself when a file has changed."""

import signal
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo.v1.store_pb2 import GetRequest, Subscribe, WatchRequest
from support.clients.access import bearer
from support.clients.calls import context, key
from support.clients.tokens import AUDIENCE, ISSUER, NAME, TokenIssuer
from support.network.certificates import self_signed
from support.servers.process import RelevoProcess, relevo_serve
from support.waiting import until

OFTEN = ("--reload-interval", "0.05")
SECRET = "sekret-7f3a"  # noqa: S105 - a test's own


def text(*tokens: str, more: str = "") -> str:
    """A file of settings with the principals of these tokens."""
    known = [
        f'[[principals]]\nname = "{each}"\ntenants = ["acme"]\n'
        f'token_sha256 = "{sha256(each.encode()).hexdigest()}"\n'
        for each in tokens
    ]
    return more + "".join(known)


def replaced(file: Path, content: str) -> None:
    """Replace a file as a whole, as editors and tools of deployment do."""
    new = file.with_suffix(".new")
    new.write_text(content)
    new.replace(file)


def code(channel: grpc.Channel, token: str) -> grpc.StatusCode:
    """How a Get of nothing ends: NOT_FOUND if the token is accepted."""
    stub = store_pb2_grpc.ContextStoreStub(channel)
    try:
        stub.Get(GetRequest(key=key()), metadata=bearer(token), timeout=10)
    except grpc.RpcError as error:
        untyped: Any = error
        found: grpc.StatusCode = untyped.code()
        return found
    return grpc.StatusCode.OK


def count(server: RelevoProcess, event: str) -> int:
    """How often an event is in the log."""
    return len(server.events(event))


def test_a_signal_and_a_changed_file(tmp_path: Path) -> None:
    """Both reload. A wrong file changes nothing, and is named without its values."""
    file = tmp_path / "relevo.toml"
    file.write_text(text("first"))
    with relevo_serve("--config", str(file), *OFTEN) as server:
        with grpc.insecure_channel(server.address) as channel:
            assert code(channel, "first") is grpc.StatusCode.NOT_FOUND

            replaced(file, text("second", more='log_level = "debug"\npartitions = 3\n'))
            until(lambda: count(server, "settings.reloaded") == 1, what="the changed file")
            assert server.events("settings.reloaded")[0]["needs_restart"] == ["partitions"]
            assert code(channel, "first") is grpc.StatusCode.UNAUTHENTICATED
            assert code(channel, "second") is grpc.StatusCode.NOT_FOUND

            replaced(file, text("third") + f'[[principals]]\nname = "{SECRET}"\nnope = "{SECRET}"')
            until(lambda: count(server, "settings.refused") == 1, what="the wrong file")
            problems = "\n".join(server.events("settings.refused")[0]["problems"])
            assert "principals.1.nope" in problems
            assert str(file) in problems
            replaced(file, "")
            until(lambda: count(server, "settings.refused") == 2, what="the empty file")
            assert "principals" in server.events("settings.refused")[1]["problems"][0]
            assert code(channel, "second") is grpc.StatusCode.NOT_FOUND

            replaced(file, text("third"))
            server.signal(signal.SIGHUP)
            until(lambda: code(channel, "third") is grpc.StatusCode.NOT_FOUND, what="a reload")

            before = count(server, "settings.reloaded")
            replaced(file, text("fourth", more='log_level = "error"\n'))
            until(lambda: code(channel, "fourth") is grpc.StatusCode.NOT_FOUND, what="a level")
            assert count(server, "settings.reloaded") == before, "the new level hides it"
        assert SECRET not in "".join(server.lines)


def test_a_link_that_is_swapped(tmp_path: Path) -> None:
    """Certificates are replaced while calls and streams go on, as Kubernetes mounts secrets."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    pairs = [self_signed(folder, "tls") for folder in folders]
    link = tmp_path / "data"
    link.symlink_to(folders[0])
    flags = ("--tls-certificate", f"{link}/tls.crt", "--tls-key", f"{link}/tls.key")
    with relevo_serve(*flags, *OFTEN) as server:
        old, new = (grpc.ssl_channel_credentials(each.certificate_pem) for each in pairs)
        with grpc.secure_channel(server.address, old) as channel:
            stub: Any = store_pb2_grpc.ContextStoreStub(channel)
            subscribe = Subscribe(key=key(), number=1)
            watch = stub.Watch(iter([WatchRequest(subscribe=subscribe)]))
            while next(watch).answers != 1:
                pass
            swap = tmp_path / "swap"
            swap.symlink_to(folders[1])
            swap.replace(link)
            until(lambda: count(server, "settings.reloaded") == 1, what="the new certificate")
            with grpc.secure_channel(server.address, new) as other:
                put: Any = store_pb2_grpc.ContextStoreStub(other)
                request = store_pb2.PutRequest(key=key(), context=context())
                version = put.Put(request, timeout=10).entry.version
            while (message := next(watch)).entry.version != version:
                assert message.WhichOneof("event") != "entry"
            watch.cancel()


def test_keys_of_issuers(tmp_path: Path, issuer: TokenIssuer) -> None:
    """A changed file of keys is read by itself: a key that is withdrawn opens nothing any more."""
    file = tmp_path / "relevo.toml"
    file.write_text(
        f'[[issuers]]\nname = "{NAME}"\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\n'
        f'jwks = "{issuer.file}"\n'
    )
    with relevo_serve("--config", str(file), *OFTEN) as server:  # noqa: SIM117
        with grpc.insecure_channel(server.address) as channel:
            before = issuer.token()
            assert code(channel, before) is grpc.StatusCode.NOT_FOUND
            issuer.rotate("second", is_published=False)
            issuer.publish("second")
            until(lambda: code(channel, before) is grpc.StatusCode.UNAUTHENTICATED)
            assert code(channel, issuer.token()) is grpc.StatusCode.NOT_FOUND
