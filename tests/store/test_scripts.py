"""The scripts that Redis runs: each has the parts of the prelude that it needs, and no others."""

import re
from importlib import resources

import pytest
from relevo_server.storage.redis.client import Script

FOLDER = resources.files("relevo_server.storage.redis") / "scripts"
NAMES = sorted(each.name.removesuffix(".lua") for each in FOLDER.iterdir())
SCRIPTS = [name for name in NAMES if name != "prelude"]


def without_comments(source: str) -> str:
    """The code of a script."""
    return re.sub(r"--.*", "", source)


def defined(code: str) -> set[str]:
    """The names that code defines outside of functions."""
    found = re.findall(r"^local (?:function (\w+)|([\w, ]+) =)", code, re.MULTILINE)
    return {name for function, names in found for name in (function or names).split(", ")}


SHARED = defined(without_comments((FOLDER / "prelude.lua").read_text("utf-8")))
assert {"parse", "append", "MAX_MS", "INVALIDATE"} <= SHARED


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_what_it_needs(name: str) -> None:
    """What a script uses of the prelude is defined above its use; what it does not use is left out.

    Each run of a script makes all functions that its source defines.
    """
    code = without_comments(Script(name).source.decode())
    own = without_comments((FOLDER / f"{name}.lua").read_text("utf-8"))
    assert code.endswith(own)
    uses = {each: [found.start() for found in re.finditer(rf"\b{each}\b", code)] for each in SHARED}
    # The first use is the definition.
    definitions = {
        each: re.search(rf"^local (?:function |[\w, ]*){each}\b", code, re.MULTILINE)
        for each, places in uses.items()
        if places
    }
    for each, definition in definitions.items():
        assert definition, f"{each} is not defined"
        assert uses[each][0] == definition.end() - len(each), f"{each} is used before"
    together = {"MAX_SEQUENCE", "MAX_MS", "PUT", "INVALIDATE"}  # of which one is enough
    for each in definitions.keys() - together:
        assert len(uses[each]) > 1, f"{each} is not used"
