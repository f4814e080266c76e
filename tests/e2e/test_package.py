"""The wheel: it builds, has the right files, and works without anything else."""

import json
import os
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
    "client/relevo": "relevo",
    "client/relevo_cli": "relevo_cli",
    "client/relevo_client": "relevo_client",
    "client/relevo_console": "relevo_console",
    "client/relevo_look": "relevo_look",
    "client/relevo_plan": "relevo_plan",
    "client/relevo_probe": "relevo_probe",
    "client/relevo_web": "relevo_web",
    "server/relevo_server": "relevo_server",
    "generated/relevo": "relevo",
    "examples/nooble": "relevo_cli/_examples/nooble",
    "examples/relevo_demo": "relevo_cli/_examples/relevo_demo",
}
SERVER_ONLY = (
    *("redis", "hiredis", "structlog", "pydantic_settings", "uvloop"),
    *("grpc_health", "grpc_reflection"),
)
"""The packages that only the extra `server` brings."""
# The packages that the dependencies of a plain `pip install relevo` bring.
CLIENT_MAY_IMPORT = {
    *("relevo", "relevo_client", "rfc8785", "google", "grpc", "opentelemetry"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
    # grpc itself imports these if they are installed.
    *("grpc_health", "grpc_reflection", "grpc_tools", "cython_runtime"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built like pip builds it."""
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
    """A folder with the wheel's files."""
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


def run(installed: Path, program: str) -> list[str]:
    """The lines that a program prints, which finds Relevo only in the wheel."""
    done = result_of(installed, program)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def result_of(installed: Path, program: str) -> "subprocess.CompletedProcess[str]":
    """The result of a program that finds Relevo only in the wheel."""
    # The wheel's folder comes first on the path; the checkout, an editable install, is removed.
    setting = (
        "import sys\n"
        f"here, root = {str(installed)!r}, {str(ROOT)!r}\n"
        "packages = (p for p in sys.path if not p.startswith(root) or 'site-packages' in p)\n"
        "sys.path[:] = [here, *packages]\n"
    )
    return subprocess.run(
        [sys.executable, "-c", setting + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},  # for the processes that it starts
    )


def metadata(wheel: zipfile.ZipFile) -> "Message[str, str]":
    """The wheel's metadata."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_has_everything(wheel: zipfile.ZipFile) -> None:
    """The wheel has every file of the packages (Lua scripts, py.typed, stubs), and no other."""
    expected = {
        f"{package}/{path.relative_to(ROOT / folder)}"
        for folder, package in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if not path.name.endswith(".d.ts")  # the type checker's
    }
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == expected
    for name in (
        "relevo_server/storage/redis/scripts/write.lua",
        "relevo_client/py.typed",
        "relevo_server/py.typed",
        "relevo/py.typed",
        "relevo_web/assets/vendor/htmx.min.js",
        "relevo_web/assets/vendor/LICENCES.txt",
        "relevo/v1/store_pb2.py",
        "relevo/v1/store_pb2.pyi",
        "relevo/v1/store_pb2_grpc.pyi",
    ):
        assert name in found
    assert "relevo/__init__.py" not in found  # a namespace package, which others may extend
    assert {name.partition("/")[0] for name in found} == {
        "relevo",
        "relevo_cli",
        "relevo_client",
        "relevo_console",
        "relevo_look",
        "relevo_plan",
        "relevo_probe",
        "relevo_server",
        "relevo_web",
    }


def test_what_it_says_of_itself(wheel: zipfile.ZipFile) -> None:
    """The plain client has few dependencies; servers and demo are extras; `relevo` is a command."""
    described = metadata(wheel)
    assert described["Name"] == "relevo"
    assert described["License-Expression"] == "Apache-2.0"
    assert {name.partition(",")[0] for name in described.get_all("Project-URL", [])} >= {"Homepage"}
    (licence,) = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
    assert "Apache License" in wheel.read(licence).decode()
    extras = set(described.get_all("Provides-Extra", []))
    assert extras == {
        *("server", "telemetry", "encryption", "jwt", "faststream", "testing", "cli"),
        *("console", "demo", "platform", "schemas"),
    }
    needed = described.get_all("Requires-Dist", [])
    plain = [re.match(r"[\w-]+", each) for each in needed if "extra ==" not in each]
    assert {name[0] for name in plain if name} == {
        "googleapis-common-protos",
        "grpcio",
        "opentelemetry-api",
        "protobuf",
        "pydantic",
        "rfc8785",
    }
    (scripts,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    entry_points = wheel.read(scripts).decode()
    assert "relevo = relevo_cli:main" in entry_points
    assert "relevo-run = relevo.run:main" in entry_points
    assert "[pytest11]\nrelevo = relevo.pytest_plugin" in entry_points


def test_the_page_on_an_index(wheel: zipfile.ZipFile) -> None:
    """The description is the README. Its links lead to the pages of the same version."""
    described = metadata(wheel)
    links = re.findall(r"\]\(([^)]+)\)", str(described.get_payload()))
    pages = f"https://github.com/relevo-io/relevo/blob/v{described['Version']}/"
    assert f"{pages}docs/propagation.md" in links
    assert [each for each in links if not each.startswith(("https://", "#"))] == []
    assert described["Description-Content-Type"] == "text/markdown"


def test_the_plain_client_imports_little(installed: Path) -> None:
    """`import relevo_client` loads neither server modules nor packages beyond its dependencies."""
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
    """Without the packages of [server], all client functions work."""
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
        "from relevo_server.storage.redis.client import Script\n"
        "print(relevo_server.__file__)\n"
        "print(len(Script('write').source))\n",
    )
    assert Path(where).is_relative_to(installed)
    assert int(size) > 1000


def test_a_command_starts_without_the_server(installed: Path) -> None:
    """`get` imports neither the server's packages nor the client: that would take longest."""
    *_, loaded = run(
        installed,
        "from relevo_cli import main\n"
        "assert main(['get', 'a:b:c', '--server', '127.0.0.1:1']) == 1\n"
        "print(*sys.modules)\n",
    )
    assert {"grpc", "relevo.v1.store_pb2"} <= set(loaded.split())
    assert set(loaded.split()).isdisjoint({"redis", "uvloop", "pydantic", "structlog"})


ISSUERS = '[{"name": "sso", "issuer": "i", "audience": "a", "jwks": "keys.json"}]'


def relevo_without(installed: Path, missing: tuple[str, ...], *words: str) -> tuple[int, str]:
    """The exit code and the output of `relevo` without some packages."""
    done = result_of(
        installed,
        f"for name in {missing!r}:\n    sys.modules[name] = None\n"
        f"from relevo_cli import main\nsys.exit(main({words!r}))\n",
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words, missing, extra",
    [
        (("serve",), SERVER_ONLY, "server"),
        (("serve", "--listen", "127.0.0.1:0"), SERVER_ONLY, "server"),
        (("completion", "bash"), ("shtab",), "cli"),
        (("serve", "--metrics-listen", "127.0.0.1:0"), ("opentelemetry.sdk",), "telemetry"),
        (("serve", "--metrics-listen", "127.0.0.1:0"), ("prometheus_client",), "telemetry"),
        (("serve", "--otlp-endpoint", "http://127.0.0.1:1"), ("opentelemetry.sdk",), "telemetry"),
        (("serve", "--issuers", ISSUERS), ("jwt",), "jwt"),
        (("serve", "--issuers", ISSUERS), ("cryptography",), "jwt"),
        (("console",), ("jinja2",), "console"),
        (("demo",), ("rich",), "demo"),
        (("demo", "--platform"), ("faststream", "matplotlib", "httpx", "starlette"), "platform"),
    ],
)
def test_what_is_missing_is_said(
    installed: Path, words: tuple[str, ...], missing: tuple[str, ...], extra: str
) -> None:
    """A command without its extra says how to install it, and exits with 2."""
    code, said = relevo_without(installed, missing, *words)
    assert code == 2
    (line,) = said.splitlines()
    assert line.startswith(f"relevo {words[0]}: needs ")
    assert line.endswith(f"pip install 'relevo[{extra}]'")


def test_commands_that_need_no_extra(installed: Path) -> None:
    """Without extras, the command has its version, help and all client commands."""
    assert relevo_without(installed, SERVER_ONLY, "--version")[0] == 0
    code, said = relevo_without(installed, SERVER_ONLY, "--help")
    assert (code, "serve" in said) == (0, True)
    code, said = relevo_without(
        installed, SERVER_ONLY, "get", "a:b:c", "--server", "127.0.0.1:1", "--timeout", "1"
    )
    assert (code, "UNAVAILABLE" in said) == (1, True)


def test_a_console_needs_its_extra_alone(installed: Path) -> None:
    """`relevo console` serves its pages without what the other extras bring."""
    others = (*SERVER_ONLY, "faststream", "httpx", "opentelemetry.sdk", "rich", "websockets")
    url, ended = run(
        installed,
        f"for name in {others!r}:\n    sys.modules[name] = None\n"
        "from relevo_cli import console, main\n"
        "async def stop() -> None:\n    print('pages are served')\n"
        "console.until_stopped = stop\n"
        "sys.exit(main(['console', '--listen', '127.0.0.1:0', '--target', '127.0.0.1:1']))\n",
    )
    assert url.startswith("The console of 127.0.0.1:1 is at http://127.0.0.1:")
    assert ended == "pages are served"


def test_testing_without_its_extra(installed: Path) -> None:
    """`relevo_client.testing` names the extra that it needs."""
    done = result_of(installed, "sys.modules['structlog'] = None\nimport relevo_client.testing\n")
    last = done.stderr.splitlines()[-1]
    assert last.endswith("needs structlog; install it with: pip install 'relevo[testing]'")


def test_the_demo_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    """`relevo demo` runs from the wheel, in its own processes."""
    record = tmp_path / "seen.json"
    *_, where = run(
        installed,
        "from relevo_cli import main\n"
        f"code = main(['demo', '--json', {str(record)!r}])\n"
        "import relevo_demo\n"
        "print(relevo_demo.__file__)\n"
        "sys.exit(code)\n",
    )
    assert Path(where).is_relative_to(installed / "relevo_cli/_examples")
    assert json.loads(record.read_text("utf-8"))["problems"] == []
