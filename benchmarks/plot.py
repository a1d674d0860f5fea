"""The picture: a panel for each workload, a bar for each contestant, and curves for scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.contest import Contestant, Metric, Workload
from benchmarks.results import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
OURS, LIMIT, OTHER = "#c0392b", "#555555", "#a8b6c4"


def draw(pairs: Sequence[tuple[Workload, Record]], file: Path) -> None:
    """Draw all workloads that have results.

    Raises:
        ImportError: matplotlib is not installed.
    """
    if not pairs:
        return
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "conveyor"  # the same figures give the same file
    rows = -(-len(pairs) // COLUMNS)
    figure = Figure(figsize=(5 * COLUMNS, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for (workload, record), panel in zip(pairs, panels, strict=False):
        _panel(panel, workload, record)
    for panel in panels:
        panel.set_visible(False)
    figure.savefig(file, metadata={"Date": None})


def _panel(panel: Axes, workload: Workload, record: Record) -> None:
    metric = workload.metrics[0]
    found = [(one, record.values(one.name, metric.name)) for one in workload.contestants]
    measured = [Measured(one, values) for one, values in found if values]
    if any(one.contestant.point for one in measured):
        _curves(panel, measured, metric)
    else:
        _bars(panel, measured, metric)
    panel.set_title(f"{workload.name} ({metric.better} is better)", fontsize=9)
    panel.tick_params(labelsize=7)


class Measured(NamedTuple):
    """A contestant, and what was measured of it, a value for each round."""

    contestant: Contestant
    values: Sequence[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)


def _bars(panel: Axes, measured: list[Measured], metric: Metric) -> None:
    """The best one on top."""
    measured = sorted(measured, key=lambda one: one.middle, reverse=metric.better == "less")
    middles = [one.middle for one in measured]
    names = [one.contestant.name for one in measured]
    panel.barh(names, middles, xerr=_ranges(measured), color=[*map(_colour, names)], ecolor="#222")
    if middles and max(middles) > 20 * min(middles) > 0:
        panel.set_xscale("log")
    panel.set_xlabel(metric.name, fontsize=8)


def _curves(panel: Axes, measured: list[Measured], metric: Metric) -> None:
    """A curve for each series, from nought, so that what is flat looks flat."""
    series: defaultdict[str, list[tuple[int, Measured]]] = defaultdict(list)
    for one in measured:
        if one.contestant.point is not None:
            name, at = one.contestant.point
            series[name].append((at, one))
    for (name, points), style in zip(series.items(), ("o-", "s--", "^:"), strict=False):
        places = [at for at, _ in points]
        ones = [one for _, one in points]
        middles = [one.middle for one in ones]
        panel.errorbar(places, middles, yerr=_ranges(ones), fmt=style, color=OURS, label=name)
    panel.set_xscale("log")
    panel.set_ylim(bottom=0)
    panel.set_xlabel(" and ".join(series), fontsize=8)
    panel.set_ylabel(metric.name, fontsize=8)
    if len(series) > 1:
        panel.legend(fontsize=7)


def _ranges(measured: Sequence[Measured]) -> list[list[float]]:
    """How far the least and the greatest value are from the median."""
    return [
        [one.middle - min(one.values) for one in measured],
        [max(one.values) - one.middle for one in measured],
    ]


def _colour(name: str) -> str:
    if name.startswith("conveyor"):
        return OURS
    return LIMIT if name.startswith(("hand", "serial", "bare")) else OTHER
