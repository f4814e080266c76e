"""The names of instruments and attributes in Prometheus.

These are the rules of OpenTelemetry's exporters for Prometheus: dots become underscores, the
unit becomes a suffix, annotations such as `{call}` do not, and counters end in `_total`.
"""

import re
from collections.abc import Iterable

from support.telemetry.table import Instrument

_UNITS = {"s": "seconds", "By": "bytes"}
_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9]+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"\{[^{}]*\}")
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_METRIC = re.compile(r"\b(?:relevo|rpc|db|process)_\w+(?![\w:(])")


def label(attribute: str) -> str:
    """The name of an attribute as a label."""
    return _NOT_IN_A_NAME.sub("_", attribute)


def metric(instrument: Instrument) -> str:
    """The name of an instrument's metric, without the suffixes of a histogram's series."""
    name = label(instrument.name)
    unit = _UNITS.get(instrument.unit, "")
    if not unit and not instrument.unit.startswith("{"):
        raise ValueError(f"{instrument.name}: exporters disagree about the unit {instrument.unit}")
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    is_counter = instrument.kind.endswith("counter") and "up-down" not in instrument.kind
    return f"{name}_total" if is_counter else name


def series(instrument: Instrument) -> list[str]:
    """The names of all of an instrument's series."""
    name = metric(instrument)
    if instrument.kind == "histogram":
        return [f"{name}{suffix}" for suffix in _OF_HISTOGRAMS]
    return [name]


def labels(instruments: Iterable[Instrument]) -> set[str]:
    """The labels of all instruments."""
    return {label(attribute) for each in instruments for attribute in each.attributes}


def named_in(expression: str) -> set[str]:
    """The series of ours that an expression of PromQL names."""
    bare = _LABELS.sub("", _SELECTOR.sub("", _STRING.sub('""', expression)))
    return set(_METRIC.findall(bare))


def labels_in(expression: str) -> set[str]:
    """The labels with our prefixes that an expression of PromQL names."""
    everything = set(_METRIC.findall(_STRING.sub('""', expression)))
    return everything - named_in(expression)
