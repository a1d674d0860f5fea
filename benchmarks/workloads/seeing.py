"""What it costs to watch a run: the work of chain3, seen by progress, and traced."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.contest import RATE, Contestant, Run, Workload, rate
from benchmarks.targets import Target
from benchmarks.workloads.chain3 import CHAIN3, STAGES, conveyor

SIZE = 4_000_000


def seen(size: int, **options: Any) -> Run:
    """Three processors, on processes that are up, in a run with options."""
    return ours.run_warm(ours.chain(*STAGES), range(10), range(size), **options)


def progress(size: int) -> Run:
    """A view that gets snapshots; to draw them is for the terminal."""
    shots: list[Any] = []
    return seen(size, progress=shots.append)


def trace(size: int) -> Run:
    """A trace, which is written when the run is over, within its time."""
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        return seen(size, trace=Path(folder) / "run.json")


SEEING = Workload(
    name="seeing",
    title="chain3, with progress and with a trace",
    contestants=(
        Contestant("conveyor", conveyor, SIZE),
        Contestant("conveyor, progress", progress, SIZE),
        Contestant("conveyor, trace", trace, SIZE),
    ),
    metrics=(RATE,),
    answer=CHAIN3.answer,
    expected=CHAIN3.expected,
    score=rate,
    targets=tuple(
        Target("at least", 0.99, RATE.name, ("conveyor",), contestant=f"conveyor, {what}")
        for what in ("progress", "trace")
    ),
)
