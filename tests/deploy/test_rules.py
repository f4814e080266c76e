"""The alerts and recording rules in `deploy/prometheus`."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support.prometheus.binaries import commands
from support.telemetry import prometheus_names
from support.telemetry.table import instruments

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
RULES_TEST = RULES.with_name("rules_test.yaml")
RUNBOOKS = ROOT / "docs" / "runbooks"
RUNBOOK_URL = "https://github.com/relevo-io/relevo/blob/main/docs/runbooks/"
SEVERITIES = {"critical", "warning", "info"}
HEADINGS = ("What it means", "Check", "Do", "Ignore it if")

_ALERT = re.compile(r"^ +- alert: (\w+)\n(.*?)(?=^ +- |\Z)", re.MULTILINE | re.DOTALL)
_EXPRESSION = re.compile(r"^ +expr: (.+?)(?=^ +(?:for|labels|-)|\Z)", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"^  - name: ([^\n]+)\n(.*?)(?=^  - name|\Z)", re.MULTILINE | re.DOTALL)


def alerts() -> Mapping[str, str]:
    """The alerts by name: the text of each."""
    return dict(_ALERT.findall(RULES.read_text("utf-8")))


def expressions() -> str:
    """The expressions of all rules, as one text."""
    return "\n".join(_EXPRESSION.findall(RULES.read_text("utf-8")))


@pytest.fixture(scope="module")
def promtool() -> Sequence[str]:
    """The command."""
    return commands()["promtool"]


def checked(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool to its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_promtool_accepts_the_rules(promtool: Sequence[str]) -> None:
    """`promtool check rules` has no complaint."""
    done = checked(*promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_if_it_should(promtool: Sequence[str]) -> None:
    """`promtool test rules` passes: see rules_test.yaml."""
    done = checked(*promtool, "test", "rules", str(RULES_TEST))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_rule_is_seen(promtool: Sequence[str], tmp_path: Path) -> None:
    """The test above fails if the limit of any alert is another one."""
    (tmp_path / RULES_TEST.name).write_text(RULES_TEST.read_text("utf-8"))
    rules = RULES.read_text("utf-8")
    for wrong in (rules.replace("available == 0", "available == 1"), rules.replace("> 2", "> 1")):
        (tmp_path / RULES.name).write_text(wrong)
        assert checked(*promtool, "test", "rules", str(tmp_path / RULES_TEST.name)).returncode


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_complete(name: str) -> None:
    """An alert has a severity, a summary, a test in which it fires, and a page that it links."""
    text = alerts()[name]
    [severity] = re.findall(r"severity: (\w+)", text)
    assert severity in SEVERITIES
    assert re.search(r"summary: .{20,}\.\"?\n", text)
    assert f"runbook_url: {RUNBOOK_URL}{name}.md" in text
    tests = dict(_TEST.findall(RULES_TEST.read_text("utf-8")))
    assert "exp_alerts: []" in tests[name]
    assert "exp_alerts:\n" in tests[name]


@pytest.mark.parametrize("name", alerts())
def test_a_runbook_says_what_to_do(name: str) -> None:
    """A runbook says what its alert means, how to check, what to do, and when to ignore it."""
    page = (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert page.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.+)$", page, re.MULTILINE)) == HEADINGS
    check = page.partition("## Check")[2].partition("## Do")[0]
    assert re.search(r"^(kubectl|relevo|redis-cli) ", check, re.MULTILINE), "no command to check"


def test_no_runbook_is_left_over() -> None:
    """Each runbook is an alert's, and the list of runbooks has them all."""
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(alerts())
    listed = (RUNBOOKS / "README.md").read_text("utf-8")
    assert set(re.findall(r"\]\((\w+)\.md\)", listed)) == pages


def test_rules_name_documented_metrics() -> None:
    """Each metric and each label that a rule names is on docs/observability.md."""
    documented = instruments().values()
    known = {name for each in documented for name in prometheus_names.series(each)}
    named = prometheus_names.named_in(expressions())
    assert len(named) > 15
    assert named - known == set()
    labels = prometheus_names.labels_in(expressions())
    assert "relevo_cache_result" in labels
    assert labels - prometheus_names.labels(documented) == set()


def test_the_healthy_fleet_has_every_metric() -> None:
    """In the healthy fleet of rules_test.yaml, no alert is silent because a metric is missing."""
    [(_, healthy), *_] = _TEST.findall(RULES_TEST.read_text("utf-8"))
    given = set(re.findall(r"series: '(\w+)", healthy))
    assert prometheus_names.named_in(expressions()) - given == set()
