"""The Helm chart in deploy/helm: lints, packages and renders it with Helm's own library.

    chart.py package    lint it, and write the package into dist/
    chart.py golden     write what the samples in ci/ are rendered to, for the tests
    chart.py answer     answer requests from stdin, for the tests; JSON both ways

It runs in `.venv-chart`, which `make chart` makes: the library is large, and nothing else needs it.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "relevo"
GOLDEN = ROOT / "tests" / "deploy" / "golden"
SAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE = {"name": "relevo", "namespace": "acme"}
_SEVERITIES = {0: "unknown", 1: "info", 2: "warning", 3: "error"}
_MADE_ELSEWHERE = {"PrometheusRule": ("spec", "groups"), "ConfigMap": ("data", "relevo.json")}
"""The parts from other files of the checkout, by kind. Golden files leave them out."""


def main(arguments: list[str]) -> int:
    """Do what the command line says, and return the exit code."""
    helm = import_module("helm_python")
    helm.disable_logging()
    match arguments:
        case ["package"]:
            return _package(helm)
        case ["golden"]:
            for sample in SAMPLES:
                file = GOLDEN / f"{sample.name.removesuffix('-values.yaml')}.yaml"
                file.write_text(_golden(_rendered(helm, _values(sample))))
            return 0
        case ["answer"]:
            print(json.dumps([_answer(helm, each) for each in json.load(sys.stdin)]))
            return 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


def _package(helm: Any) -> int:
    found = [problem for sample in SAMPLES for problem in _lint(helm, _values(sample))]
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        return 1
    dist = ROOT / "dist"
    dist.mkdir(exist_ok=True)
    made = Path(helm.package(CHART, destination=dist))
    print(f"{made.relative_to(ROOT)}  {made.stat().st_size:,} bytes")
    return 0


def _answer(helm: Any, request: Any) -> Any:
    """The answer to a request, which has one of the keys below."""
    try:
        match request:
            case {"lint": values}:
                return _lint(helm, values)
            case {"render": values}:
                return _rendered(helm, values)
            case {"golden": sample}:
                return _golden(_rendered(helm, _values(CHART / "ci" / sample)))
            case {"problems": sample, "kubernetes": version}:
                return _problems(_rendered(helm, _values(CHART / "ci" / sample)), version)
            case {"yaml": file}:
                return _values(ROOT / file)
            case _:
                return {"error": "unknown request"}
    except helm.HelmError as error:
        return {"error": str(error)}


def _values(file: Path) -> Any:
    return import_module("yaml").safe_load(file.read_text("utf-8"))


def _lint(helm: Any, values: Any) -> list[str]:
    """What `helm lint --strict` says of the chart with these values, but for advice."""
    report = helm.lint(CHART, values, strict=True)
    found = [
        f"{_SEVERITIES[each['severity']]}: {each['path']}: {each['error']}"
        for each in report["messages"]
        if each["severity"] != 1
    ]
    return [*found, *report["errors"]]


def _rendered(helm: Any, values: Any) -> list[Any]:
    """The resources that the chart makes of values, in the order of their files."""
    yaml = import_module("yaml")
    with helm.Chart.load(CHART) as chart:
        made = chart.render(values, **RELEASE)
    texts = (made[name] for name in sorted(made) if name.endswith(".yaml"))
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def _problems(resources: list[Any], version: str) -> list[str]:
    """What the schemas of a version of Kubernetes find wrong. They know only its own kinds."""
    kubernetes = import_module("kubernetes_validate")
    found: list[str] = []
    for each in resources:
        name = f"{each['apiVersion']} {each['kind']}"
        try:
            kubernetes.validate(each, version, strict=True)
        except kubernetes.SchemaNotFoundError:
            found.append(f"{name}: unknown")
        except kubernetes.ValidationError as error:
            found.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message}")
    return found


def _golden(resources: list[Any]) -> str:
    yaml = import_module("yaml")
    for each in resources:
        if place := _MADE_ELSEWHERE.get(each["kind"]):
            outer, inner = place
            each[outer][inner] = "(from another file in deploy/)"
    text: str = yaml.safe_dump_all(resources, sort_keys=False, width=100)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
