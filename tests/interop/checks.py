"""The checks of all drivers, from the files that every driver reads."""

import json
from pathlib import Path

HERE = Path(__file__).parent

_RULES: dict[str, str] = json.loads((HERE / "checks.json").read_text("utf-8"))
_ERRORS: dict[str, dict[str, str]] = json.loads((HERE / "errors.json").read_text("utf-8"))

CHECKS: dict[str, str] = {
    **_RULES,
    **{f"error.{reason}": f"{reason} arrives whole: {error}" for reason, error in _ERRORS.items()},
}
"""The rule of each check, by the check's name."""

REASONS = frozenset(_ERRORS)
"""The reasons of errors, each with a check."""
