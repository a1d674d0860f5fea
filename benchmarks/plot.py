"""The picture: a panel for each workload, a bar for each contestant, and curves for scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contest import Workload
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
    found = [
        (one.name, [values[metric.name] for values in record.rounds.get(one.name, []) if values])
        for one in workload.contestants
    ]
    measured = [(name, values) for name, values in found if values]
    middles = [median(values) for _, values in measured]
    if any(name.startswith("conveyor") for name, _ in measured):
        measured.sort(key=lambda pair: median(pair[1]), reverse=metric.better == "less")
        middles = [median(values) for _, values in measured]
    else:
        measured.reverse()
        middles.reverse()
    names = [name for name, _ in measured]
    ranges = [
        [middle - min(values) for middle, (_, values) in zip(middles, measured, strict=True)],
        [max(values) - middle for middle, (_, values) in zip(middles, measured, strict=True)],
    ]
    panel.barh(names, middles, xerr=ranges, color=[_colour(name) for name in names], ecolor="#222")
    if middles and max(middles) > 20 * min(middles) > 0:
        panel.set_xscale("log")
    panel.set_title(f"{workload.name} ({metric.better} is better)", fontsize=9)
    panel.set_xlabel(metric.name, fontsize=8)
    panel.tick_params(labelsize=7)


def _colour(name: str) -> str:
    if name.startswith("conveyor"):
        return OURS
    return LIMIT if name.startswith(("hand", "serial", "bare")) else OTHER
