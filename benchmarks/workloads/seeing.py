"""What it costs to watch a run: the work of chain3, seen by progress, and traced."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.beside import METRICS, at_most, beside, score
from benchmarks.contest import Contestant, Run, Workload
from benchmarks.workloads.chain3 import CHAIN3, STAGES

SIZE = 1_000_000


def seen(size: int, **options: Any) -> Run:
    """Runs on processes that are up, with options and without."""
    with ours.chain(*STAGES).open() as live:
        live.run(range(10))
        return beside(
            lambda: live.run(range(size)),
            lambda: live.run(range(size), **options),
            CHAIN3.answer,
        )


def progress(size: int) -> Run:
    """A view that gets snapshots; to draw them is for the terminal."""
    shots: list[Any] = []
    return seen(size, progress=shots.append)


def trace(size: int) -> Run:
    """A trace, which is written when the run is over."""
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        return seen(size, trace=Path(folder) / "run.json")


SEEING = Workload(
    name="seeing",
    title="chain3, with progress and with a trace, each beside runs without",
    contestants=(
        Contestant("conveyor, progress", progress, SIZE),
        Contestant("conveyor, trace", trace, SIZE),
    ),
    metrics=METRICS,
    answer=lambda result: result.digests,
    expected=lambda size: [CHAIN3.expected(size)],
    score=score,
    targets=(*at_most(0.01, "conveyor, progress"), *at_most(0.01, "conveyor, trace")),
)
