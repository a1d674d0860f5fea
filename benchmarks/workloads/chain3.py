"""Integers through three stages of ``x + 1``, collected in the parent."""

from __future__ import annotations

from benchmarks import ours, peers
from benchmarks.contest import RATE, Contestant, Run, Workload, rate, timed
from benchmarks.hand import raw
from benchmarks.targets import Target


def add_one(x: int) -> int:
    """The work of a stage."""
    return x + 1


def add_three(x: int) -> int:
    """The work of all stages, in a function written by hand."""
    return add_one(add_one(add_one(x)))


STAGES = (add_one, add_one, add_one)


def conveyor(size: int) -> Run:
    """Three processors."""
    return ours.run_warm(ours.chain(*STAGES), range(10), range(size))


def hand_raw(size: int) -> Run:
    """Three processes."""
    return through(size, *map(raw.Each, STAGES))


def hand_fused(size: int) -> Run:
    """One process."""
    return through(size, raw.Each(*STAGES))


def through(size: int, *stages: raw.Each) -> Run:
    """Send the integers through stages by hand."""

    def run() -> list[int]:
        collected: list[int] = []
        for items in raw.through(ends, range(size), 1024):
            collected += items
        return collected

    with raw.chain(*stages) as ends:
        return timed(run)


def serial(size: int) -> Run:
    """One loop."""
    return timed(lambda: [add_one(add_one(add_one(x))) for x in range(size)])


def peer(one: peers.Peer, size: int) -> Run:
    """Three stages, or all of them in one over two workers."""
    return one.run_warm(STAGES, range(10), range(size))


def by_hand(size: int) -> Run:
    """A pool with one function that has all three steps in its code."""
    return peers.PEERS["Pool.imap"].with_chunk(1000).run_warm([add_three], range(10), range(size))


CHAIN3 = Workload(
    name="chain3",
    title="integers through 3 stages of x + 1, collected in the parent",
    contestants=(
        Contestant("conveyor", conveyor, 4_000_000),
        Contestant("hand-raw b=1024", hand_raw, 4_000_000),
        Contestant("hand-fused b=1024", hand_fused, 4_000_000),
        Contestant("serial", serial, 8_000_000),
        Contestant("Pool.imap b=1000, 1 function", by_hand, 2_000_000),
        *peers.contestants(
            peer,
            {
                "Pool.imap b=1000": 2_000_000,
                "futures b=1000": 1_500_000,
                "joblib b=1000": 700_000,
                "mpire b=1000": 200_000,
                "mpipe": 50_000,
                "Pool.imap": 40_000,
                "parallel-conveyor": 30_000,
                "futures": 8000,
                "loky": 5000,
                "pypeln": 2000,
                "ray b=1000": 700_000,
                "ray": 2000,
                "dask b=1000": 50_000,
                "dask": 2000,
            },
        ),
    ),
    metrics=(RATE,),
    answer=lambda result: [len(result), sum(result)],
    expected=lambda size: [size, size * (size - 1) // 2 + 3 * size],
    score=rate,
    targets=(
        Target("at least", 0.7, RATE.name, ("hand-raw b=1024",)),
        Target("at least", 1.5, RATE.name, ("Pool.imap b=1000",)),
        Target("at least", 90, RATE.name, ("parallel-conveyor",)),
    ),
)
