"""Many simulated runs of random pipelines: `python -m tests.flow.simulations --runs 20000`.

A seed says all about a run: the pipeline and its items, how it is planned, what moves next, what
takes how long, which branches come and go, and who dies and when. In half of them workers die at
any moment, over and over, until they are let be; then all must come out that the inline engine
gives, and the accounts must be its accounts.

A run that goes wrong is told with its seed; `--seed` with that and `--runs 1` makes it again.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from random import Random

from conveyor import Auto
from conveyor.graph import ForkNode, Graph, JoinNode
from tests.flow.mortal import simulate_deaths
from tests.flow.promises import check_run, run_inline, simulate
from tests.strategies import following, random_runnable

ROOM = 8
"""The most processors of a pipeline."""
CHUNK = 100
"""Runs that a process makes between two reports."""
MOST_WRONG = 3
"""So many runs that went wrong are enough to look at."""
HANG = 300
"""Seconds that a chunk may take before it counts as hung; the stacks are printed then."""


@dataclass
class Report:
    """What has happened.

    Attributes:
        runs: how many runs there were.
        seen: how often there was what the runs are made for.
        wrong: what did not hold, by seed.
    """

    runs: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    wrong: dict[int, str] = field(default_factory=dict)

    def add(self, other: Report) -> None:
        self.runs += other.runs
        self.seen += other.seen
        self.wrong |= other.wrong

    def __str__(self) -> str:
        lines = [f"{count:,} {name}" for name, count in sorted(self.seen.items())]
        return f"{self.runs:,} runs: " + ", ".join(lines)


def simulated(seed: int) -> Counter[str]:
    """Make one run, and hold what is promised; give what there was in it.

    Raises:
        Exception: something does not hold.
    """
    random = Random(seed)
    runnable = random_runnable(random, ROOM)
    processes = random.choice((None, None, 1, 2, 3))
    if random.random() < 0.4:
        chain = following(runnable.chain, Auto(random.randint(1, 2)))
        runnable, processes = replace(runnable, chain=chain, explicit=False), None
    pipeline, arguments = runnable.pipeline(), runnable.arguments
    runs = (arguments[0] if arguments else (),) * random.choice((1, 1, 1, 2))
    is_ordered = random.random() < 0.5
    how = partial(simulate, measured=random.random() < 0.2)
    if random.random() < 0.5:
        how = simulate_deaths
    graph, inline = run_inline(pipeline, arguments)
    simulation, given = how(graph, seed, *runs, ordered=is_ordered, processes=processes)
    check_run(simulation, seed, given, inline, is_ordered=is_ordered)
    return simulation.changes + kinds(simulation.graph)


def kinds(graph: Graph) -> Counter[str]:
    """What kinds of forks and joins there are in a graph."""
    seen: Counter[str] = Counter()
    for node in graph.nodes:
        match node:
            case ForkNode(auto=None):
                seen[f"{node.kind} forks"] += 1
            case ForkNode():
                seen["forks that follow the load"] += 1
            case JoinNode():
                seen[f"{node.how} joins"] += 1
            case _:
                pass
    return seen


def many(seeds: Iterable[int], *, most_wrong: int = MOST_WRONG) -> Report:
    """Make the runs with these seeds, one after another, until so many of them have gone wrong."""
    report = Report()
    for seed in seeds:
        report.runs += 1
        try:
            report.seen += simulated(seed)
        except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
            report.wrong[seed] = traceback.format_exc()
            if len(report.wrong) == most_wrong:
                break
    return report


def watched(seeds: range) -> Report:
    """``many``, in a process of its own."""
    faulthandler.dump_traceback_later(HANG, exit=True)
    gc.freeze()  # a run makes many cycles, and is over soon: only those are to be looked through
    report = many(seeds)
    faulthandler.cancel_dump_traceback_later()
    return report


def on_all_cores(seeds: range) -> Report:
    """``many``, on all cores that this process may use."""
    report = Report()
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    cores = min(len(os.sched_getaffinity(0)), len(chunks))
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        made = {pool.submit(watched, chunk): chunk for chunk in chunks}
        for future in as_completed(made):
            try:
                report.add(future.result())
            except Exception as error:  # noqa: BLE001 - of the pool: a process has ended
                report.wrong[made[future].start] = f"or one of the {CHUNK} from it on: {error!r}"
            if len(report.wrong) >= MOST_WRONG:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first run; the next ones follow"
    )
    asked = parser.parse_args()
    began = time.perf_counter()
    seeds = range(asked.seed, asked.seed + asked.runs)
    report = on_all_cores(seeds) if asked.runs > CHUNK else many(seeds)
    for seed, what in report.wrong.items():
        print(f"WRONG: seed {seed}: {what}")
    print(f"{report}, in {time.perf_counter() - began:.0f} s")
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
