"""A Prometheus server that scrapes processes of the test, and answers queries."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from support.network.ports import ReservedPort
from support.prometheus.binaries import commands
from support.waiting import until

_CONFIGURATION = """
global:
  scrape_interval: {interval}
  evaluation_interval: {interval}
rule_files:
{rules}
scrape_configs:
{jobs}
"""
_JOB = """
  - job_name: {name}
    static_configs:
      - targets: [{targets}]
"""


class QueryError(AssertionError):
    """Raised if Prometheus refuses an expression."""


class Prometheus:
    """A running server. Use with `with`.

    `jobs` are the addresses to scrape by the name of their job, `rules` files of rules, and
    `interval` is the time between scrapes and between evaluations, as Prometheus writes it.
    """

    def __init__(
        self,
        jobs: Mapping[str, Sequence[str]],
        rules: Sequence[Path] = (),
        *,
        interval: str = "2s",
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="relevo-prometheus-")
        self._port = ReservedPort()
        self._log = Path(self._folder.name, "log")
        listed = "".join(f"  - {each.resolve()}\n" for each in rules)
        scraped = "".join(
            _JOB.format(name=name, targets=", ".join(map(repr, targets)))
            for name, targets in jobs.items()
        )
        self._configuration = _CONFIGURATION.format(interval=interval, rules=listed, jobs=scraped)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._port.number}", timeout=30.0)

    def __enter__(self) -> Self:
        file = Path(self._folder.name, "prometheus.yaml")
        file.write_text(self._configuration)
        command = [
            *commands()["prometheus"],
            f"--config.file={file}",
            f"--storage.tsdb.path={self._folder.name}/data",
            f"--web.listen-address=127.0.0.1:{self._port.number}",
            "--log.level=warn",
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            until(self._is_ready, within=60, what="Prometheus")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._http.close()
        self._port.close()
        self._folder.cleanup()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now. Raises QueryError."""
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        if answer["status"] != "success":
            raise QueryError(f"{expression}: {answer.get('error')}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """The rules with their state, as Prometheus has loaded them."""
        groups = self._http.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def is_scraped(self) -> bool:
        """Whether every target has been scraped, and none has failed."""
        targets = self._http.get("/api/v1/targets").json()["data"]["activeTargets"]
        return bool(targets) and all(each["health"] == "up" for each in targets)

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"Prometheus has ended: {self._log.read_text()}")
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False
