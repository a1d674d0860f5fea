"""What it costs to watch a run: the work of chain3, seen by progress, and traced."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import ours
from benchmarks.contest import CPU, RATE, Contestant, Metric, Run, Workload, cpu
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
    """A trace, which is written when the run is over."""
    with tempfile.TemporaryDirectory(prefix="conveyor-bench-") as folder:
        return seen(size, trace=Path(folder) / "run.json")


def score(run: Run, size: int) -> dict[str, float]:
    """How fast the engine was, and how long the caller waited once the last item had come."""
    engine = run.result.stats.elapsed
    afterwards = 1000 * (run.seconds - engine)
    return {RATE.name: size / engine, AFTERWARDS.name: afterwards, **cpu(run, size)}


AFTERWARDS = Metric("ms afterwards", "less", 0)

SEEING = Workload(
    name="seeing",
    title="chain3, with progress and with a trace",
    contestants=(
        Contestant("conveyor", conveyor, SIZE),
        Contestant("conveyor, progress", progress, SIZE),
        Contestant("conveyor, trace", trace, SIZE),
    ),
    metrics=(RATE, AFTERWARDS, CPU),
    answer=CHAIN3.answer,
    expected=CHAIN3.expected,
    score=score,
    targets=tuple(
        target
        for what in ("conveyor, progress", "conveyor, trace")
        for target in (
            Target("at least", 0.99, RATE.name, ("conveyor",), contestant=what),
            Target("at most", 1.01, CPU.name, ("conveyor",), contestant=what),
        )
    ),
)
