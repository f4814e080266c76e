"""The Grafana dashboard in `deploy/grafana`."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dashboard
import pytest
from support.telemetry import prometheus_names
from support.telemetry.table import instruments

MADE: dict[str, Any] = json.loads(dashboard.DASHBOARD.read_text("utf-8"))
PANELS: list[dict[str, Any]] = [each for each in MADE["panels"] if each["type"] != "row"]
QUERIES = [panel for panel in PANELS if panel["type"] != "text"]
COLUMNS = 24

each_query = pytest.mark.parametrize("panel", QUERIES, ids=lambda panel: panel["title"])


def expressions() -> Iterator[str]:
    """The expressions of all panels."""
    return (target["expr"] for panel in QUERIES for target in panel["targets"])


def cells(panel: Mapping[str, Any]) -> set[tuple[int, int]]:
    """The cells of the grid that a panel covers."""
    at = panel["gridPos"]
    columns, rows = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
    return set(itertools.product(columns, rows))


def test_it_is_what_its_panels_say(capsys: pytest.CaptureFixture[str]) -> None:
    """The dashboard is made from panels.toml, and a difference is an error."""
    assert dashboard.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_a_difference_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dashboard that was edited by hand fails, and the text says what to do."""
    edited = tmp_path / "relevo.json"
    edited.write_text(dashboard.DASHBOARD.read_text("utf-8").replace("Hit ratio", "Hits", 1))
    monkeypatch.setattr(dashboard, "DASHBOARD", edited)
    assert dashboard.main(["--check"]) == 1
    assert "make dashboard" in capsys.readouterr().err


def test_panels_have_their_place() -> None:
    """Panels have ids of their own, lie within the grid, and do not overlap."""
    ids = [panel["id"] for panel in MADE["panels"]]
    assert len(ids) == len(set(ids)) > 30
    covered = [cell for panel in MADE["panels"] for cell in cells(panel)]
    assert len(covered) == len(set(covered))
    assert max(column for column, _ in covered) < COLUMNS


def test_rows_come_before_their_panels() -> None:
    """There is a row for the effect, health, traffic and cost, each above its panels."""
    rows = [panel["title"].partition(":")[0] for panel in MADE["panels"] if panel["type"] == "row"]
    assert rows == ["Effect", "Health", "Traffic", "Cost"]
    tops = [panel["gridPos"]["y"] for panel in MADE["panels"]]
    assert tops == sorted(tops)


@each_query
def test_a_panel_explains_itself(panel: Mapping[str, Any]) -> None:
    """A panel has a description, a unit, and a legend for each query."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert target["datasource"]["uid"] == "${datasource}"
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        grouped = re.search(r"by \(([^)]*)\)", target["expr"])
        assert shown <= set(re.findall(r"\w+", grouped[1] if grouped else "")), target


def test_variables_are_declared_and_used() -> None:
    """Each `$variable` of a query is declared, and each declared one is used."""
    declared = {variable["name"] for variable in MADE["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)(\w+)", " ".join(expressions())))
    assert used == declared - {"datasource"} == {"server", "instance", "client"}


def test_panels_name_documented_metrics() -> None:
    """Each metric and each label that a panel names is on docs/observability.md."""
    documented = instruments().values()
    known = {name for each in documented for name in prometheus_names.series(each)}
    labels = prometheus_names.labels(documented)
    for expression in expressions():
        assert prometheus_names.named_in(expression) - known == set(), expression
        assert prometheus_names.labels_in(expression) - labels == set(), expression


def test_each_instrument_is_on_the_dashboard() -> None:
    """No documented instrument is left out."""
    shown = prometheus_names.named_in("\n".join(expressions()))
    missing = {
        name
        for name, each in instruments().items()
        if shown.isdisjoint(prometheus_names.series(each))
    }
    assert missing == set()
