"""The image of deploy/container, made and run without a container: its steps, in a prefix.

What the Containerfile copies is the context, its RUN is run there, and its command is run by the
user that it names. If this user may, the whole file system is read-only then.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from support.languages.making import ROOT

CONTAINERFILE = ROOT / "deploy" / "container" / "Containerfile"
PREFIX = "/opt/relevo"
"""Where the image has everything."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Programs for every user, as in an image: a Python in somebody's home is of no use to others."""
_READ_ONLY = "mount --make-rprivate / && mount -o remount,bind,ro / && exec setpriv"
_NOTHING_MADE = shutil.ignore_patterns("__pycache__", "*.egg-info")


class Instruction(NamedTuple):
    """A line of a Containerfile."""

    name: str
    value: str


def instructions() -> list[Instruction]:
    """The instructions of the Containerfile, in order."""
    text = re.sub(r"\\\n\s*", "", CONTAINERFILE.read_text("utf-8"))
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [Instruction(*line.split(" ", 1)) for line in lines]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, from its FROM on."""
    found: list[list[Instruction]] = []
    for each in instructions():
        if each.name == "FROM":
            found.append([])
        if found:
            found[-1].append(each)
    return found


def value(stage: Sequence[Instruction], name: str) -> str:
    """The value of an instruction that a stage has once."""
    (found,) = [each.value for each in stage if each.name == name]
    return found


def programs_of_python() -> str | None:
    """A Python that every user may run, or None."""
    for folder in _PATH.split(":"):
        program = Path(folder, "python3")
        if not program.exists():
            continue
        around = [*program.resolve().parents]
        if all(each.stat().st_mode & 0o005 == 0o005 for each in around):
            return str(program)
    return None


class Image:
    """What the image's steps have made, in a folder that every user may read."""

    def __init__(self, folder: Path) -> None:
        self._build, self._final = stages()
        self._context = folder / "src"
        self.prefix = folder / "relevo"
        folder.chmod(0o755)
        self._copy()
        run = value(self._build, "RUN").replace(PREFIX, str(self.prefix))
        done = subprocess.run(
            shlex.split(run),
            cwd=self._context,
            env={"PATH": _PATH, "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            timeout=900,  # a busy machine takes ten times as long as a quiet one
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _copy(self) -> None:
        for each in self._build:
            if each.name != "COPY":
                continue
            *sources, target = each.value.split()
            for source in sources:
                place = self._context / target
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, ignore=_NOTHING_MADE)
                else:
                    place = place / source if target.endswith("/") else place
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, place)

    @property
    def user(self) -> tuple[int, int]:
        """The user and the group that it runs as."""
        user, group = value(self._final, "USER").split(":")
        return int(user), int(group)

    @property
    def command(self) -> list[str]:
        """What it runs."""
        entry, rest = value(self._final, "ENTRYPOINT"), value(self._final, "CMD")
        return [*_words(entry), *_words(rest)]

    @property
    def health_check(self) -> list[str]:
        """What tells whether a container is healthy."""
        return _words(value(self._final, "HEALTHCHECK").partition("CMD ")[2])

    def start(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Run a command as a container of the image does, with further `environment`."""
        return subprocess.Popen(
            [*self._isolated(), *command],
            cwd="/",
            env={**self._environment(), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=stderr,
        )

    def _environment(self) -> dict[str, str]:
        given = value(self._final, "ENV").replace(PREFIX, str(self.prefix))
        named = (each.partition("=") for each in shlex.split(given))
        return {name: text.replace("$PATH", _PATH) for name, _, text in named}

    def _isolated(self) -> Iterator[str]:
        if os.geteuid() != 0:
            return
        user, group = self.user
        identity = f"--reuid={user} --regid={group} --clear-groups --no-new-privs"
        yield from ("unshare", "--mount", "sh", "-c")
        yield from (f'{_READ_ONLY} {identity} --inh-caps=-all --bounding-set=-all "$@"', "sh")


def _words(text: str) -> list[str]:
    """The words of an instruction in the form of JSON, which runs no shell."""
    words = re.fullmatch(r'\["([^\]]+)"\]', text.strip())
    assert words, f"a shell would run {text}"
    return words[1].split('", "')
