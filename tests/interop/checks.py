"""What every driver checks, from the files that all of them read."""

import json
from pathlib import Path

HERE = Path(__file__).parent

_RULES: dict[str, str] = json.loads((HERE / "checks.json").read_text("utf-8"))
_ERRORS: dict[str, dict[str, str]] = json.loads((HERE / "errors.json").read_text("utf-8"))

CHECKS: dict[str, str] = {
    **_RULES,
    **{f"error.{reason}": f"{reason} arrives whole: {error}" for reason, error in _ERRORS.items()},
}
"""The rule that each check is about, by the check's name."""

REASONS = frozenset(_ERRORS)
"""The reasons of errors that have a check."""
