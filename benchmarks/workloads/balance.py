"""Work over two workers, even or skewed: how much of the time are they busy with it?

An item is the CPU time that the function is to take, and it returns what it did take. So nothing
else that runs on the machine makes the work more or less.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from time import thread_time

from benchmarks import ours, peers
from benchmarks.contest import Contestant, Metric, Run, Workload, timed
from benchmarks.hand import raw
from benchmarks.hand.dealt import dealt
from benchmarks.targets import Target

WORKERS = 2
BUSY = Metric("busy", "more", digits=3)

Items = Callable[[int], list[float]]


def work(seconds: float) -> float:
    """Take so much CPU time, and tell how much it was."""
    started = now = thread_time()
    while now - started < seconds:
        for _ in range(100):
            pass
        now = thread_time()
    return now - started


def even(size: int) -> list[float]:
    """1 ms each."""
    return [0.001] * size


def skewed(size: int) -> list[float]:
    """One in twenty takes 20 ms, the others 0.2 ms, in no order."""
    items = [0.02] * (size // 20) + [0.0002] * (size - size // 20)
    Random(1).shuffle(items)
    return items


def conveyor(items: Items, size: int) -> Run:
    """A balanced fork."""
    from conveyor import Feed, Processor

    return ours.run_warm(Feed() >> Processor(work) % WORKERS, [0.0] * 10, items(size))


def hand(batch: int, items: Items, size: int) -> Run:
    """Batches dealt to processes as they are done with the last ones."""
    with dealt(raw.Each(work), WORKERS) as deal:
        return timed(lambda: deal(items(size), batch))


def peer(items: Items, one: peers.Peer, size: int) -> Run:
    """What the peer does by itself."""
    return one.run_warm([work], [0.0] * 10, items(size), workers=WORKERS)


def score(run: Run, _: int) -> dict[str, float]:
    """Score the share of the workers' time that the function had."""
    return {BUSY.name: sum(run.result) / (WORKERS * run.seconds)}


def workload(name: str, title: str, items: Items, size: int) -> Workload:
    """The contest for one kind of items."""
    ways = {
        "conveyor": conveyor,
        "hand-batch b=16": partial(hand, 16),
        "hand-batch b=1": partial(hand, 1),
    }
    rivals = peers.contestants(
        partial(peer, items),
        dict.fromkeys(
            (
                "futures b=16",
                "Pool.imap b=16",
                "mpire b=16",
                "joblib",
                "futures",
                "parallel-conveyor",
                "loky",
                "Pool.imap",
                "pypeln",
                "mpipe",
                "ray b=16",
                "ray",
                "dask",
            ),
            size // 2,
        ),
    )
    return Workload(
        name=name,
        title=title,
        contestants=(
            *(Contestant(name, partial(way, items), size) for name, way in ways.items()),
            *rivals,
        ),
        metrics=(BUSY,),
        answer=len,
        expected=lambda size: size,
        score=score,
        targets=(
            Target("at least", 0.97, BUSY.name),
            # A tie is a tie: what is within one per cent is not ahead.
            Target(
                "at least",
                0.99,
                BUSY.name,
                tuple(rival.name for rival in rivals),
                label="the best peer",
            ),
        ),
    )


BALANCE = workload("balance", "1 ms of work per item over 2 workers", even, 3000)
SKEW = workload("skew", "1 in 20 items 20 ms, the rest 0.2 ms, over 2 workers", skewed, 3000)
