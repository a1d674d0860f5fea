"""What it costs to be able to restart workers: the work of chain3, with and without."""

from __future__ import annotations

from benchmarks import ours
from benchmarks.contest import CPU, RATE, Contestant, Run, Workload, cpu, rate
from benchmarks.targets import Target
from benchmarks.workloads.chain3 import CHAIN3, add_one, conveyor


def restartable(size: int) -> Run:
    """Three processors that may be restarted."""
    from conveyor import Processor

    stages = [Processor(add_one).options(restarts=3) for _ in range(3)]
    return ours.run_warm(stages[0] >> stages[1] >> stages[2], range(10), range(size))


def score(run: Run, size: int) -> dict[str, float]:
    """How fast it was, and what it cost."""
    return {**rate(run, size), **cpu(run, size)}


RESTARTS = Workload(
    name="restarts",
    title="chain3, with and without options(restarts=3)",
    contestants=(
        Contestant("conveyor", conveyor, 4_000_000),
        Contestant("conveyor, restarts=3", restartable, 4_000_000),
    ),
    metrics=(RATE, CPU),
    answer=CHAIN3.answer,
    expected=CHAIN3.expected,
    score=score,
    targets=(
        Target("at least", 0.95, RATE.name, ("conveyor",), contestant="conveyor, restarts=3"),
        Target("at most", 1.05, CPU.name, ("conveyor",), contestant="conveyor, restarts=3"),
    ),
)
