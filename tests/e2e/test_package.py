"""The wheel: that it builds, what is in it, and that it works where nothing else is."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "client/relevo_client": "relevo_client",
    "server/relevo_server": "relevo_server",
    "generated/relevo": "relevo",
    "examples/nooble": "nooble",
    "examples/relevo_demo": "relevo_demo",
}
# What the dependencies of a plain `pip install relevo` bring along.
CLIENT_MAY_IMPORT = {
    *("relevo", "relevo_client", "google", "grpc", "opentelemetry"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
    # grpc itself imports these where they are.
    *("grpc_health", "grpc_reflection", "grpc_tools", "cython_runtime"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        timeout=60,
    )
    (path,) = folder.iterdir()
    assert path.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(path) as wheel:
        yield wheel


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


def run(installed: Path, program: str) -> list[str]:
    """What a program prints, a line each, that finds Relevo in the wheel and nowhere else."""
    # Its folder comes first on the path; the checkout, installed as editable, is taken off.
    setting = (
        "import sys\n"
        f"here, root = {str(installed)!r}, {str(ROOT)!r}\n"
        "packages = (p for p in sys.path if not p.startswith(root) or 'site-packages' in p)\n"
        "sys.path[:] = [here, *packages]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", setting + program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=installed,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def metadata(wheel: zipfile.ZipFile) -> "Message[str, str]":
    """The wheel's own description."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_has_everything(wheel: zipfile.ZipFile) -> None:
    """Every file of the packages is in it (Lua scripts, py.typed, stubs), and nothing else."""
    expected = {
        f"{package}/{path.relative_to(ROOT / folder)}"
        for folder, package in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == expected
    for name in (
        "relevo_server/storage/scripts/write.lua",
        "relevo_client/py.typed",
        "relevo_server/py.typed",
        "relevo/py.typed",
        "relevo/v1/store_pb2.py",
        "relevo/v1/store_pb2.pyi",
        "relevo/v1/store_pb2_grpc.pyi",
    ):
        assert name in found
    assert "relevo/__init__.py" not in found  # a namespace: others may have a part in it


def test_what_it_says_of_itself(wheel: zipfile.ZipFile) -> None:
    """The plain client needs little; servers and the demo are extras; `relevo` is a command."""
    described = metadata(wheel)
    assert described["Name"] == "relevo"
    assert set(described.get_all("Provides-Extra", [])) >= {"server", "demo"}
    needed = described.get_all("Requires-Dist", [])
    plain = [re.match(r"[\w-]+", each) for each in needed if "extra ==" not in each]
    assert {name[0] for name in plain if name} == {
        "googleapis-common-protos",
        "grpcio",
        "opentelemetry-api",
        "protobuf",
        "pydantic",
    }
    (scripts,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    assert "relevo = relevo_server.cli:main" in wheel.read(scripts).decode()


def test_the_plain_client_imports_little(installed: Path) -> None:
    """`import relevo_client` loads nothing of a server's, nor any package beyond its own needs."""
    where, *loaded = run(
        installed,
        "import relevo_client\n"
        "print(relevo_client.__file__)\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}), sep='\\n')\n",
    )
    assert Path(where).is_relative_to(installed)
    loaded_from_packages = {name for name in loaded if not name.startswith("_")}
    assert loaded_from_packages - set(sys.stdlib_module_names) <= CLIENT_MAY_IMPORT


def test_the_plain_client_works(installed: Path) -> None:
    """Without the packages of [server] a client can do all that needs no server."""
    (text,) = run(
        installed,
        "for name in ('redis', 'structlog', 'pydantic_settings', 'grpc_health',\n"
        "             'grpc_reflection', 'grpc_status', 'rich', 'relevo_server'):\n"
        "    sys.modules[name] = None\n"
        "from relevo_client import *\n"
        "import relevo_client\n"
        "client = AsyncContextClient('127.0.0.1:1')\n"
        "aio_client_interceptors(), aio_server_interceptor(client)\n"
        "print(ContextKey('a', 'b', 'c').text)\n",
    )
    assert text == "a:b:c"


def test_the_server_knows_no_client(installed: Path) -> None:
    """The server's modules load without the client, with their Lua scripts."""
    where, size = run(
        installed,
        "sys.modules['relevo_client'] = None\n"
        "import pkgutil, importlib, relevo_server\n"
        "for module in pkgutil.walk_packages(relevo_server.__path__, 'relevo_server.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "from relevo_server.storage.connection import Script\n"
        "print(relevo_server.__file__)\n"
        "print(len(Script('write').source))\n",
    )
    assert Path(where).is_relative_to(installed)
    assert int(size) > 1000
