"""The metrics of several processes as one: sums that never fall, and gauges by their meaning."""

from collections import defaultdict

from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, sampled_from, tuples
from relevo_server.telemetry.instruments import INSTRUMENTS, Kind
from relevo_server.telemetry.whole import (
    MEANINGS,
    Family,
    Report,
    Sample,
    Whole,
    labels_of,
    packed,
    unpacked,
)
from support.telemetry.prometheus_names import metric
from support.telemetry.table import instruments

_KINDS = ("counter", "histogram", "gauge")


def family(name: str, kind: str, **values: float) -> Family:
    """A metric with a value for each value of its label."""
    samples = [Sample(name, labels_of({"of": of}), value) for of, value in values.items()]
    return Family(name, "Help", kind, "", samples)


def values_of(report: Report) -> dict[tuple[str, str], float]:
    """The values, by the metric and its label's value."""
    return {
        (each.name, dict(sample.labels)["of"]): sample.value
        for each in report
        for sample in each.samples
    }


happenings = lists(
    tuples(
        integers(1, 3),  # of which process
        dictionaries(sampled_from("ab"), integers(0, 5), min_size=1),  # what it counts further
        sampled_from(["report", "report", "end"]),
    ),
    max_size=30,
)


@given(happenings)
def test_what_was_counted_stays(happened: list[tuple[int, dict[str, int], str]]) -> None:
    """Counters and histograms are the sums of all processes, of ended ones too; gauges are not."""
    whole = Whole("w")
    number = {1: 1, 2: 2, 3: 3}
    counted: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    total: defaultdict[str, int] = defaultdict(int)
    for slot, more, what in happened:
        process = number[slot]
        for of, count in more.items():
            counted[process][of] += count
            total[of] += count
        whole.update(process, [family(kind, kind, **counted[process]) for kind in _KINDS])
        if what == "end":
            whole.end(process)
            del counted[process]
            number[slot] += 3  # its successor is another process
        found = values_of(whole.report)
        living: defaultdict[str, int] = defaultdict(int)
        for each in counted.values():
            for of, count in each.items():
                living[of] += count
        for of in total:
            assert found["counter", of] == found["histogram", of] == total[of]
            assert found.get(("gauge", of), 0) == living[of]


def test_what_is_no_sum() -> None:
    """A store is counted once, lags are the longest, and it is available if all can reach it."""
    whole = Whole("w")
    for process, value in ((1, 3.0), (2, 5.0)):
        whole.update(process, [family(name, "gauge", x=value) for name in MEANINGS])
    found = values_of(whole.report)
    assert found.pop(("relevo_server_store_available", "x")) == 3
    assert set(found.values()) == {5}


def test_every_gauge_has_a_meaning() -> None:
    """No gauge is added up, and what the table names is an instrument of the server."""
    documented = instruments()
    names = {each.name: metric(documented[each.name]) for each in INSTRUMENTS}
    gauges = {names[each.name] for each in INSTRUMENTS if each.kind is Kind.GAUGE}
    assert gauges <= MEANINGS.keys() <= set(names.values())
    counters = {names[each.name] for each in INSTRUMENTS if each.kind is Kind.COUNTER}
    assert not counters & MEANINGS.keys()


def test_one_process_to_those_who_look() -> None:
    """There is one `target_info`, with the name of the whole."""
    whole = Whole("the whole")
    for process in (1, 2):
        labels = labels_of({"service_name": "relevo", "service_instance_id": str(process)})
        info = Family("target", "Target metadata", "info", "", [Sample("target_info", labels, 1.0)])
        whole.update(process, [info])
    (target,) = whole.report
    (sample,) = target.samples
    assert dict(sample.labels) == {
        "service_name": "relevo",
        "service_instance_id": "the whole",
    }
    assert sample.value == 1


@given(lists(dictionaries(sampled_from("abc"), integers(0, 9), min_size=1), max_size=3))
def test_reports_travel(values: list[dict[str, int]]) -> None:
    """A report is the same on the other side of a connection."""
    report = [family(f"m{i}", "counter", **each) for i, each in enumerate(values)]
    assert unpacked(packed(report)) == report
