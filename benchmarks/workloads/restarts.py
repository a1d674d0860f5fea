"""What it costs to be able to restart workers: the work of chain3, with and without."""

from __future__ import annotations

from functools import reduce
from operator import rshift

from benchmarks import ours
from benchmarks.beside import METRICS, at_most, beside, score
from benchmarks.contest import Contestant, Run, Workload
from benchmarks.workloads.chain3 import CHAIN3, STAGES


def restartable(size: int) -> Run:
    """Three processors that may be restarted, beside three that may not."""
    from conveyor import Processor

    stages = [Processor(stage).options(restarts=3) for stage in STAGES]
    with ours.chain(*STAGES).open() as plain, reduce(rshift, stages).open() as other:
        for live in (plain, other):
            live.run(range(10))
        return beside(lambda: plain.run(range(size)), lambda: other.run(range(size)), CHAIN3.answer)


RESTARTS = Workload(
    name="restarts",
    title="chain3 with options(restarts=3), beside runs without",
    contestants=(Contestant("conveyor, restarts=3", restartable, 1_000_000),),
    metrics=METRICS,
    answer=lambda result: result.digests,
    expected=lambda size: [CHAIN3.expected(size)],
    score=score,
    targets=at_most(0.05, "conveyor, restarts=3"),
)
