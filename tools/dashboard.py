"""Make the Grafana dashboard from its panels.

    python tools/dashboard.py [--check]

Writes `deploy/grafana/relevo.json` from `panels.toml` beside it; with `--check` it writes nothing
and fails if the file differs. Rows are laid out from the top, and panels from left to right.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana"
PANELS, DASHBOARD = FOLDER / "panels.toml", FOLDER / "relevo.json"
COMMAND = "make dashboard"

_COLUMNS, _WIDTH, _HEIGHT = 24, 8, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(panels: Mapping[str, Any]) -> dict[str, Any]:
    """The dashboard in Grafana's format, from the content of the panels' file."""
    return {
        "uid": "relevo",
        "title": "Relevo",
        "description": "The effect, health, traffic and cost of Relevo's servers and clients.",
        "tags": ["relevo"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "links": [],
        "annotations": {"list": [_alerts()]},
        "templating": {"list": list(_variables())},
        "panels": list(_laid_out(panels["rows"])),
    }


def text(panels: Mapping[str, Any]) -> str:
    """The content of the dashboard's file."""
    return json.dumps(dashboard(panels), indent=2) + "\n"


def _laid_out(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row["title"],
            "collapsed": False,
            "panels": [],
            "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y},
        }
        x, y, height = 0, y + 1, 0
        for panel in row["panels"]:
            number += 1
            width = panel.get("width", _WIDTH)
            if x + width > _COLUMNS:
                x, y, height = 0, y + height, 0
            position = {"h": panel.get("height", _HEIGHT), "w": width, "x": x, "y": y}
            yield _panel(number, panel, position)
            x, height = x + width, max(height, position["h"])
        y += height


def _panel(number: int, panel: Mapping[str, Any], position: Mapping[str, int]) -> dict[str, Any]:
    kind = panel.get("kind", "timeseries")
    shown = {
        "id": number,
        "type": kind,
        "title": panel["title"],
        "description": panel["description"],
        "gridPos": position,
    }
    if kind == "text":
        return {**shown, "options": {"mode": "markdown", "content": panel["text"]}}
    return {
        **shown,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _field(kind, panel), "overrides": []},
        "options": _stat() if kind == "stat" else _timeseries(),
        "targets": list(_targets(kind, panel["targets"])),
    }


def _targets(kind: str, targets: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for number, (legend, expression) in enumerate(targets.items()):
        yield {
            "refId": chr(ord("A") + number),
            "datasource": _SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "range": kind != "stat",
            "instant": kind == "stat",
        }


def _field(kind: str, panel: Mapping[str, Any]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if "limit" in panel:
        steps.append({"color": "red", "value": panel["limit"]})
    field: dict[str, Any] = {
        "unit": panel["unit"],
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if kind == "stat" else "palette-classic"},
    }
    if "maximum" in panel:
        field["max"] = panel["maximum"]
    if kind == "timeseries":
        field["custom"] = {
            "drawStyle": "line",
            "fillOpacity": 30 if panel.get("stacked") else 10,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.get("stacked") else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if "limit" in panel else "off"},
        }
    return field


def _stat() -> dict[str, Any]:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
    }


def _timeseries() -> dict[str, Any]:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }
    yield _variable("server", "Servers", "label_values(relevo_server_store_available, job)")
    yield _variable(
        "instance",
        "Instances",
        'label_values(relevo_server_store_available{job=~"$server"}, instance)',
    )
    yield _variable("client", "Services", "label_values(relevo_client_resolutions_total, job)")


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": f"variable-{name}"},
        "refresh": 2,  # whenever the range of time changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Relevo.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{job}} {{instance}}",
    }


def main(arguments: list[str]) -> int:
    """Write the dashboard, or check it."""
    made = text(tomllib.loads(PANELS.read_text("utf-8")))
    if "--check" not in arguments:
        DASHBOARD.write_text(made, "utf-8")
        return 0
    if not DASHBOARD.exists() or DASHBOARD.read_text("utf-8") != made:
        print(f"{DASHBOARD.name} is not what {PANELS.name} says; run `{COMMAND}`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
