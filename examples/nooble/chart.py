"""The picture of the measured run: three questions, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from relevo_look import look

from nooble import questions
from nooble.records import Record, Result, quantile

_GREY = "#555555"
_STYLE: Any = {
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "font.size": 9,
    "svg.fonttype": "none",  # text stays text: small, and readers of screens can read it
    "svg.hashsalt": "nooble",  # the same run, the same file
    "xtick.color": _GREY,
    "xtick.labelsize": 8,
    "ytick.color": _GREY,
    "ytick.labelsize": 8,
}
_LINES: Mapping[str, str] = {"none": ":", "redis-json": "--", "relevo": "-"}
"""The patterns that tell the modes apart without colours."""
_HATCHES: Mapping[str, str] = {"management": "//", "store": "--", "redis": ""}
"""The patterns that tell the kinds of calls apart without colours."""


def draw(records: Sequence[Record], results: Sequence[Result], file: Path) -> None:
    """Write the picture: as SVG if the file's name ends so, else as PNG."""
    with mpl.rc_context(_STYLE):  # pyright: ignore[reportUnknownMemberType]
        figure = Figure(figsize=(13, 4.4), layout="constrained", facecolor="white")
        stale, time, calls = figure.subplots(1, 3)
        _draw_outdated(stale, records)
        _draw_times(time, records)
        _draw_calls(calls, results)
        figure.suptitle(  # pyright: ignore[reportUnknownMemberType]
            f"Six services, the same {results[0].turns:,} turns in each of three ways, "
            f"{results[0].changes:,} changes of a configuration",
            x=0.01,
            ha="left",
            fontsize=12,
        )
        kind = "svg" if file.suffix == ".svg" else "png"
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(  # pyright: ignore[reportUnknownMemberType]
            file, dpi=120, format=kind, metadata=metadata
        )


def _draw_outdated(axis: Any, records: Sequence[Record]) -> None:
    points = {record.mode: questions.after_changes(record) for record in records}
    latest = max((each[-1].seconds for each in points.values() if each), default=1.0)
    edges = [latest * i / 10 for i in range(10)]
    ends: list[tuple[float, str]] = []
    for mode, own in points.items():
        known = [span for span in questions.spans(own, edges) if span.share is not None]
        if not known:
            continue
        shares = [100 * (span.share or 0) for span in known]
        middles = [(span.begin + (span.end or latest)) / 2 for span in known]
        axis.plot(middles, shares, _LINES[mode], color=look.MODES[mode].colour, lw=2.2)
        axis.plot(middles, shares, "o", color=look.MODES[mode].colour, ms=3.5)
        ends.append((max(shares[-3:]), mode))  # above the line, if it falls
    # Modes that end at the same height share a line of text.
    heights = {
        round(height): [m for h, m in ends if round(h) == round(height)] for height, _ in ends
    }
    for height, modes in heights.items():
        names = " and ".join(look.MODES[mode].word for mode in modes)
        colour = look.MODES[modes[0]].colour if len(modes) == 1 else _GREY
        axis.annotate(
            names,
            (latest, height),
            (0, 6),
            textcoords="offset points",
            ha="right",
            color=colour,
            weight="bold",
        )
    axis.set_title("How long do turns use an old configuration?")
    axis.set_xlabel("seconds since the change was acknowledged")
    axis.set_ylabel("% of turns that begin then")
    axis.set_ylim(-3, 108)
    axis.set_xlim(0, latest)


def _draw_times(axis: Any, records: Sequence[Record]) -> None:
    for record in records:
        ordered = [1000 * seconds for seconds in questions.times(record)]
        if not ordered:
            continue
        mode, middle = look.MODES[record.mode], quantile(ordered, 0.5)
        values, parts = zip(*questions.ecdf(ordered), strict=True)
        axis.step(
            values,
            [100 * part for part in parts],
            _LINES[record.mode],
            where="post",
            color=mode.colour,
            lw=2.2,
            label=f"{mode.word} {middle:.0f} ms",
        )
        axis.plot(middle, 50, "o", color=mode.colour, ms=6)
    axis.set_title("How long does a turn take?")
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set_xlim(left=axis.get_xlim()[0] / 4)  # the legend's place, left of all lines
    axis.set_xlabel("milliseconds, to the answer (logarithmic)")
    axis.set_ylabel("% of turns that take at most so long")
    axis.set_ylim(0, 103)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(
            title="half of the turns take",
            loc="upper left",
            labelcolor="linecolor",
            prop={"weight": "bold", "size": 8},
            frameon=False,
        )


def _draw_calls(axis: Any, results: Sequence[Result]) -> None:
    rows = list(reversed(results))
    left = [0.0] * len(rows)
    for kind, shown in look.CALLS.items():
        widths = [questions.calls_per_turn(result)[kind] for result in rows]
        axis.barh(
            [look.MODES[result.mode].word for result in rows],
            widths,
            left=left,
            height=0.55,
            color=shown.colour,
            edgecolor="white",
            hatch=_HATCHES[kind],
            label=shown.word,
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, total in enumerate(left):
        axis.annotate(f"{total:.1f}", (total, row), (4, 0), textcoords="offset points", va="center")
    axis.set_title("Who is asked, and how often?")
    axis.set_xlabel("calls per turn for configuration")
    axis.margins(x=0.12)
    axis.legend(frameon=False, fontsize=8, loc="lower right", title="calls to")
