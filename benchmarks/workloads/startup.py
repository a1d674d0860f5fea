"""A script from the start of its interpreter to its first result, through four stages."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import scripts
from benchmarks.contest import Contestant, Metric, Run, Workload
from benchmarks.targets import Target

FOLDER = Path(scripts.__file__).parent
ROOT = FOLDER.parents[1]
FIRST = Metric("ms to the first result", "less", digits=0)
WHOLE = Metric("ms to the end", "less", digits=0)


def start(script: str, size: int) -> Run:
    """Run a script some times; it prints its result, and when that was there."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    answers, firsts, wholes = set(), [], []
    for _ in range(size + 1):
        started = perf_counter()
        command = [sys.executable, str(FOLDER / script)]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        wholes.append(perf_counter() - started)
        answer, at = done.stdout.split()
        answers.add(int(answer))
        firsts.append(float(at) - started)
    # The first of them found nothing in the disk cache, perhaps.
    return Run((answers, median(firsts[1:]), median(wholes[1:])), sum(wholes))


def score(run: Run, _: int) -> dict[str, float]:
    """Score milliseconds."""
    _, first, whole = run.result
    return {FIRST.name: first * 1000, WHOLE.name: whole * 1000}


STARTUP = Workload(
    name="startup",
    title="a script to its first result through 4 stages",
    contestants=tuple(
        Contestant(name, partial(start, script), 5, "numpy" if "numpy" in name else None)
        for name, script in {
            "conveyor": "conveyor_four.py",
            "hand-pipe": "hand_pipe.py",
            "hand-pipe, forked": "hand_pipe_fork.py",
            "bare interpreter": "bare.py",
            "conveyor, numpy in 1 stage": "numpy_one.py",
            "conveyor, numpy in 4 stages": "numpy_four.py",
        }.items()
    ),
    metrics=(FIRST, WHOLE),
    answer=lambda result: list(result[0]),
    expected=lambda _: [5],
    score=score,
    targets=(
        Target("at most", 1.15, FIRST.name, ("hand-pipe",)),
        Target(
            "at most",
            1.15,
            FIRST.name,
            ("conveyor, numpy in 1 stage",),
            contestant="conveyor, numpy in 4 stages",
        ),
    ),
)
