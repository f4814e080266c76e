"""The Helm chart: what it refuses, what it makes, and that servers take what it gives them."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from relevo_server.settings import Settings, load
from support.helm import answers
from support.languages.making import ROOT

CHART = ROOT / "deploy" / "helm" / "relevo"
SAMPLES = sorted(each.name for each in (CHART / "ci").glob("*-values.yaml"))
KUBERNETES = ("1.30.0", "1.37.0")
"""The oldest version that the chart accepts, and the newest whose schemas are there."""
OF_OTHERS = {"cert-manager.io/v1 Certificate", "monitoring.coreos.com/v1 PrometheusRule",
             "monitoring.coreos.com/v1 ServiceMonitor"}  # fmt: skip
"""Kinds that Kubernetes' own schemas do not know."""
URL = {"store": {"url": "rediss://redis:6380/0"}}
PLAIN = {**URL, "insecure": True}
SECURE = {**URL, "tls": {"secret": "cert"}, "config": {"secret": {"name": "principals"}}}
REFUSED: Mapping[str, tuple[Any, str]] = {
    "no store": ({"insecure": True}, "store: give exactly one"),
    "two stores": ({**PLAIN, "store": {**URL["store"], "secret": {"name": "s"}}}, "there are 2"),
    "memory by its URL": ({**PLAIN, "store": {"url": "memory://"}}, "/store/url"),
    "a password in values": ({**PLAIN, "store": {"url": "redis://:pw@r"}}, "store.url: a URL with"),
    "memory of three": ({"insecure": True, "store": {"ephemeral": True}}, "set replicas"),
    "no TLS": (URL, "tls: contexts and tokens would travel unencrypted"),
    "no principals": ({**URL, "tls": {"secret": "cert"}}, "config.secret.name: everyone could do"),
    "two certificates": (
        {**SECURE, "tls": {"secret": "c", "certManager": {"issuerRef": {"name": "i"}}}},
        "tls: give either secret",
    ),
    "a CA without TLS": ({**PLAIN, "tls": {"clientCa": {"secret": "ca"}}}, "tls.clientCa.secret"),
    "probes without a certificate": (
        {**SECURE, "tls": {"secret": "c", "clientCa": {"secret": "a"}},
         "probes": {"nativeTls": True}},
        "probes.nativeTls",
    ),
    "all cores": ({**PLAIN, "workers": "auto"}, "set resources.limits.cpu"),
    "a scrape of nothing": (
        {**PLAIN, "metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}},
        "metrics.enabled",
    ),
    "a wrong name": ({**PLAIN, "replica": 2}, "'replica' not allowed"),
    "a wrong name within": ({**PLAIN, "service": {"prot": 1}}, "at '/service'"),
    "a wrong kind": ({**PLAIN, "replicas": "three"}, "at '/replicas'"),
    "a setting of the chart's own": ({**PLAIN, "settings": {"listen": "x:1"}}, "'listen'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def answered() -> Callable[[Any], Any]:
    """Answers a request; all of this file are asked at once."""
    asked = [
        *({"render": values} for values, _ in REFUSED.values()),
        *({"golden": each} for each in SAMPLES),
        *({"problems": each, "kubernetes": version} for each in SAMPLES for version in KUBERNETES),
        {"lint": PLAIN}, {"lint": SECURE}, {"render": PLAIN}, {"render": SECURE},
        {"render": {**PLAIN, "replicas": 1}},
        *({"yaml": f"deploy/helm/relevo/ci/{each}"} for each in SAMPLES),
        {"yaml": "deploy/helm/relevo/Chart.yaml"}, {"yaml": "deploy/helm/relevo/values.yaml"},
        {"yaml": "deploy/prometheus/rules.yaml"},
        {"render": {**SECURE, "probes": {"nativeTls": True}}},
        {"render": {**PLAIN, "metrics": {"prometheusRule": {"enabled": True}},
                    "dashboards": {"enabled": True}}},
    ]  # fmt: skip
    found = dict(zip(map(json.dumps, asked), answers(asked), strict=True))
    return lambda request: found[json.dumps(request)]


def of_kind(resources: Any, kind: str) -> list[Any]:
    """The resources of a kind."""
    return [each for each in resources if each["kind"] == kind]


def container(resources: Any) -> Any:
    """The server's container."""
    (deployment,) = of_kind(resources, "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(answered: Callable[[Any], Any], name: str) -> None:
    """Values that contradict one another, or that nobody wants, end with the name of the value."""
    values, text = REFUSED[name]
    answer = answered({"render": values})
    assert isinstance(answer, dict), "it was rendered"
    assert text in answer["error"]
    assert "pw@" not in answer["error"], "a password was quoted"


@pytest.mark.parametrize("values", [PLAIN, SECURE], ids=["plain", "secure"])
def test_it_is_clean(answered: Callable[[Any], Any], values: Any) -> None:
    """`helm lint --strict` finds nothing."""
    assert answered({"lint": values}) == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("sample", SAMPLES)
def test_kubernetes_accepts_it(answered: Callable[[Any], Any], sample: str, version: str) -> None:
    """The schemas of two versions of Kubernetes find nothing wrong in their own kinds."""
    problems = answered({"problems": sample, "kubernetes": version})
    others = OF_OTHERS if "production" in sample else ()
    assert set(problems) == {f"{each}: unknown" for each in others}


@pytest.mark.parametrize("sample", SAMPLES)
def test_nothing_changes_unseen(answered: Callable[[Any], Any], sample: str) -> None:
    """The samples are rendered to tests/deploy/golden, which `tools/chart.py golden` writes."""
    file = Path(__file__).parent / "golden" / f"{sample.removesuffix('-values.yaml')}.yaml"
    assert answered({"golden": sample}) == file.read_text("utf-8")


def settings_of(made: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a server that runs in a container. `folder` stands for its /etc/relevo."""
    (folder / "store").mkdir(exist_ok=True)
    (folder / "store" / "url").write_text("rediss://:secret@redis:6380/0\n")
    (folder / "relevo.toml").write_text('[[principals]]\nname = "p"\ntenants = ["*"]\n'
                                        f'token_sha256 = "{"ab" * 32}"\n')  # fmt: skip
    config = None
    for each in container(made)["env"]:
        value = each["value"].replace("/etc/relevo/store", str(folder / "store"))
        if each["name"] == "RELEVO_CONFIG":
            assert value == "/etc/relevo/config/relevo.toml"
            config = folder / "relevo.toml"
        elif each["name"].startswith("RELEVO_"):
            monkeypatch.setenv(each["name"], value)
    return load(config)


def test_servers_take_the_settings(
    answered: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable that the chart sets is a setting with a value that servers accept."""
    sample = (Path(__file__).parent / "golden" / "production.yaml").read_text("utf-8")
    production = [each for each in re.findall(r"RELEVO_(\w+)", sample) if each != "CONFIG"]
    assert {each.lower() for each in production} <= Settings.model_fields.keys()
    with monkeypatch.context() as patched:
        secure = settings_of(answered({"render": SECURE}), tmp_path, patched)
    assert (secure.store, secure.listen) == (SecretStr("rediss://redis:6380/0"), "[::]:7390")
    assert secure.principals
    assert secure.tls_certificate == Path("/etc/relevo/tls/tls.crt")
    assert (secure.grace, secure.max_connection_age, secure.workers) == (5, 1800, 1)
    with monkeypatch.context() as patched:
        plain = settings_of(answered({"render": PLAIN}), tmp_path, patched)
    assert (plain.insecure, plain.metrics_listen) == (True, ":9464")


def test_secrets_are_files(answered: Callable[[Any], Any]) -> None:
    """No variable has a secret's content: Secrets are mounted, and the store's URL is a file."""
    sample = (Path(__file__).parent / "golden" / "production.yaml").read_text("utf-8")
    assert "file:///etc/relevo/store/url" in sample
    assert "secretKeyRef" not in sample
    assert not any("valueFrom" in each for each in container(answered({"render": SECURE}))["env"])


def test_nothing_can_be_written(answered: Callable[[Any], Any]) -> None:
    """The server is not root, has no capabilities, and cannot write its root."""
    (deployment,) = of_kind(answered({"render": PLAIN}), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    security = pod["containers"][0]["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


def probes(made: Any) -> Iterator[tuple[str, Any]]:
    """The probes of the server, by name."""
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield name, container(made)[name]


def test_liveness_does_not_follow_redis(answered: Callable[[Any], Any]) -> None:
    """Only readiness follows the store, in each way to ask."""
    for values in (PLAIN, SECURE, {**SECURE, "probes": {"nativeTls": True}}):
        for name, probe in probes(answered({"render": values})):
            service = "readiness" if name == "readinessProbe" else "liveness"
            if "grpc" in probe:
                assert probe["grpc"]["service"] == service
                assert probe["grpc"].get("mode") == ("TLS" if values != PLAIN else None)
            else:
                assert values == SECURE
                assert probe["exec"]["command"] == ["relevo", "check", "--serving", service]
                assert probe["timeoutSeconds"] >= 10  # an interpreter starts for each


def test_servers_have_the_time_to_end(answered: Callable[[Any], Any]) -> None:
    """Kubernetes waits longer than the hook, the calls' grace and the last exports take."""
    (deployment,) = of_kind(answered({"render": PLAIN}), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    hook = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= hook + Settings().grace + 10
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_single_server_has_no_budget(answered: Callable[[Any], Any]) -> None:
    """A budget of one server would keep its node from ever being drained."""
    assert of_kind(answered({"render": PLAIN}), "PodDisruptionBudget")
    assert not of_kind(answered({"render": {**PLAIN, "replicas": 1}}), "PodDisruptionBudget")


def test_alerts_and_dashboards_are_those_of_deploy(answered: Callable[[Any], Any]) -> None:
    """The chart has no copies: it ships the files of deploy/grafana and deploy/prometheus."""
    made = answered({"render": {**PLAIN, "metrics": {"prometheusRule": {"enabled": True}},
                                "dashboards": {"enabled": True}}})  # fmt: skip
    (rule,) = of_kind(made, "PrometheusRule")
    assert rule["spec"]["groups"] == answered({"yaml": "deploy/prometheus/rules.yaml"})["groups"]
    (dashboards,) = of_kind(made, "ConfigMap")
    file = ROOT / "deploy" / "grafana" / "relevo.json"
    assert json.loads(dashboards["data"]["relevo.json"]) == json.loads(file.read_text("utf-8"))
    assert {each.is_symlink() for each in (CHART / "files").iterdir()} == {True}


def test_its_version_is_that_of_the_package(answered: Callable[[Any], Any]) -> None:
    """The chart, the image that it names and the package have one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = answered({"yaml": "deploy/helm/relevo/Chart.yaml"})
    assert (chart["version"], chart["appVersion"]) == (project["version"],) * 2
    image = container(answered({"render": PLAIN}))["image"]
    assert image.endswith(f":{project['version']}")


def test_every_value_is_described(answered: Callable[[Any], Any]) -> None:
    """The schema has each value of values.yaml, and values.yaml each of the schema."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))

    def paths(value: Any, within: str = "") -> Iterator[str]:
        for name, inner in value.items():
            yield f"{within}{name}"
            if isinstance(inner, dict) and within + name not in OPEN:
                yield from paths(inner, f"{within}{name}.")

    def described(part: Any, within: str = "") -> Iterator[str]:
        for name, inner in part.get("properties", {}).items():
            yield f"{within}{name}"
            yield from described(inner, f"{within}{name}.")

    values = answered({"yaml": "deploy/helm/relevo/values.yaml"})
    assert set(paths(values)) == set(described(schema)) - {"global"}


OPEN = {"resources", "dashboards.labels"}
"""Values with names of the user's own."""
