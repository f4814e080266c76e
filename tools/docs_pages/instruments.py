"""The reference of the metrics, from the code that registers the instruments."""

from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec
from typing import NamedTuple, TypeAlias
from unittest.mock import patch

from opentelemetry.metrics import (
    CallbackT,
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    NoOpMeter,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
)
from opentelemetry.util.types import Attributes
from relevo_probe.metrics import Metrics
from relevo_server.telemetry.instruments import INSTRUMENTS, calls, operations

from docs_pages.markdown import table, text

_INTRO = """# Metrics

Every instrument, with its name in Prometheus.
[Observability](../observability.md#metrics-of-clients) has their attributes, and what their values
mean.
"""
Callbacks: TypeAlias = Sequence[CallbackT] | None
_CLIENTS = "relevo_client._telemetry.instruments"
_UNITS = {"s": "seconds", "By": "bytes"}


class Instrument(NamedTuple):
    """An instrument, as it is registered."""

    name: str
    kind: str
    unit: str
    description: str

    @property
    def in_prometheus(self) -> str:
        """The name of its metric in Prometheus."""
        name = self.name.replace(".", "_")
        unit = _UNITS.get(self.unit, "")
        if unit and not name.endswith(f"_{unit}"):
            name = f"{name}_{unit}"
        return f"{name}_total" if self.kind == "counter" else name


class _Recorder(NoOpMeter):
    """A meter that notes what is registered, and measures nothing."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.instruments: list[Instrument] = []

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        """Note a counter."""
        self.instruments.append(Instrument(name, "counter", unit, description))
        return super().create_counter(name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Histogram:
        """Note a histogram."""
        self.instruments.append(Instrument(name, "histogram", unit, description))
        advisory = explicit_bucket_boundaries_advisory
        return super().create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=advisory
        )

    def create_observable_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> ObservableCounter:
        """Note a counter that is read when somebody collects it."""
        self.instruments.append(Instrument(name, "counter", unit, description))
        return super().create_observable_counter(name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> ObservableUpDownCounter:
        """Note an up-down counter that is read when somebody collects it."""
        self.instruments.append(Instrument(name, "up-down counter", unit, description))
        return super().create_observable_up_down_counter(name, callbacks, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> ObservableGauge:
        """Note a gauge."""
        self.instruments.append(Instrument(name, "gauge", unit, description))
        return super().create_observable_gauge(name, callbacks, unit, description)


class _Provider(MeterProvider):
    """The provider of a recorder."""

    def __init__(self, meter: _Recorder) -> None:
        self._meter = meter

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes | None = None,
    ) -> Meter:
        """The recorder, whoever asks."""
        del name, version, schema_url, attributes
        return self._meter


def page() -> str:
    """The page's text."""
    parts = [
        (title, meter, table(["instrument", "in Prometheus", "kind", "unit", "meaning"], rows))
        for title, meter, rows in (
            ("Clients", "relevo_client", _rows(of_clients())),
            ("Servers", "relevo_server", _rows(of_servers())),
            ("The probe", "relevo_probe", _rows(of_the_probe())),
        )
    ]
    return _INTRO + "".join(
        f"\n## {title}\n\nThe meter is `{meter}`.\n{rows}" for title, meter, rows in parts
    )


def _rows(instruments: Sequence[Instrument]) -> list[list[str]]:
    return [
        [f"`{each.name}`", f"`{each.in_prometheus}`", each.kind, f"`{each.unit}`",
         text(each.description)]
        for each in instruments
    ]  # fmt: skip


def of_clients() -> list[Instrument]:
    """The instruments of clients. Their module registers them when it is imported."""
    meter = _Recorder()
    spec = find_spec(_CLIENTS)
    assert spec  # noqa: S101 - for type checkers: the module is there
    assert spec.loader  # noqa: S101
    with patch("opentelemetry.metrics.get_meter", return_value=meter):
        spec.loader.exec_module(module_from_spec(spec))
    return meter.instruments


def of_servers() -> list[Instrument]:
    """The instruments of servers."""
    observable = [Instrument(*(each.name, each.kind.value, each.unit, each.description))
                  for each in INSTRUMENTS]  # fmt: skip
    durations = [
        Instrument(each.name, "histogram", "s", each.description)
        for each in (calls(), operations())
    ]
    return durations + observable


def of_the_probe() -> list[Instrument]:
    """The instruments of `relevo probe`."""
    meter = _Recorder()
    Metrics(_Provider(meter))
    return meter.instruments
