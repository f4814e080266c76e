"""Reads the metrics of a server as Prometheus does."""

from typing import Self

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from support.servers.process import RelevoProcess


class Scraped:
    """One scrape."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = {family.name: family for family in families}

    @classmethod
    def of(cls, server: RelevoProcess) -> Self:
        """Scrape a server with --metrics-listen."""
        status, text = fetch(server, "/metrics")
        assert status == httpx.codes.OK, text
        return cls(list(text_string_to_metric_families(text)))

    @property
    def types(self) -> dict[str, str]:
        """The type of each metric by its name, with `_total` for counters. Without target_info."""
        return {
            name + ("_total" if family.type == "counter" else ""): family.type
            for name, family in self._families.items()
            if family.samples and name != "target"
            if name != "target_info"
        }

    def labels(self, name: str) -> set[str]:
        """The names of the labels of a metric's samples."""
        family = self._families[name.removesuffix("_total")]
        return {label for sample in family.samples for label in sample.labels} - {"le"}

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 if there are none."""
        return sum(
            sample.value
            for family in self._families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def fetch(server: RelevoProcess, path: str) -> tuple[int, str]:
    """The status and the text of a path at a server's endpoint for Prometheus."""
    response = httpx.get(f"http://{server.metrics_address}{path}", timeout=20)
    return response.status_code, response.text
