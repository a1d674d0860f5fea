"""Records of ten keys through three stages."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from benchmarks import ours, peers
from benchmarks.contest import RATE, Contestant, Run, Workload, rate, timed
from benchmarks.hand import raw
from benchmarks.targets import Target

Record = dict[str, Any]


def record(number: int) -> Record:
    """A record: numbers and text."""
    return {
        "id": number,
        "name": f"name {number}",
        "price": number * 0.5,
        "count": 3,
        "city": "Lima",
        "active": True,
        "tag": None,
        "score": 1.5,
        "year": 2000 + number % 20,
        "total": 0,
    }


def priced(one: Record) -> Record:
    """The first stage."""
    one["total"] = one["price"] * one["count"]
    return one


def aged(one: Record) -> Record:
    """The second stage."""
    one["age"] = 2030 - one["year"]
    return one


def scored(one: Record) -> Record:
    """The third stage."""
    one["score"] += one["age"]
    return one


STAGES = (priced, aged, scored)


def records(size: int) -> list[Record]:
    """So many of them."""
    return [*map(record, range(size))]


def conveyor(size: int) -> Run:
    """Three processors."""
    return ours.run_warm(ours.chain(*STAGES), records(10), records(size))


def hand_raw(batch: int, size: int) -> Run:
    """Three processes."""
    return through(batch, size, *map(raw.Each, STAGES))


def hand_fused(batch: int, size: int) -> Run:
    """One process."""
    return through(batch, size, raw.Each(*STAGES))


def through(batch: int, size: int, *stages: raw.Each) -> Run:
    """Send the records through stages by hand."""
    items = records(size)

    def run() -> list[Record]:
        collected: list[Record] = []
        for some in raw.through(ends, items, batch, ahead=max(1, 512 // batch)):
            collected += some
        return collected

    with raw.chain(*stages) as ends:
        return timed(run)


def serial(size: int) -> Run:
    """One loop."""
    items = records(size)
    return timed(lambda: [scored(aged(priced(item))) for item in items])


def peer(one: peers.Peer, size: int) -> Run:
    """Three stages, or all of them in one over two workers."""
    return one.run_warm(STAGES, records(10), records(size))


def digest(results: Iterable[Record]) -> list[float]:
    """The count, and what all stages did."""
    results = list(results)
    checks = (one["id"] + one["total"] + one["age"] + one["score"] + len(one) for one in results)
    return [len(results), sum(checks)]


DICTS = Workload(
    name="dicts",
    title="records of ten keys through 3 stages, collected in the parent",
    contestants=(
        Contestant("conveyor", conveyor, 300_000),
        Contestant("hand-raw b=64", partial(hand_raw, 64), 300_000),
        Contestant("hand-raw b=256", partial(hand_raw, 256), 300_000),
        Contestant("hand-fused b=64", partial(hand_fused, 64), 400_000),
        Contestant("serial", serial, 1_000_000),
        *peers.contestants(
            peer,
            {
                "Pool.imap b=500": 200_000,
                "futures b=500": 200_000,
                "joblib b=500": 100_000,
                "mpire b=500": 100_000,
                "mpipe": 30_000,
                "parallel-conveyor": 20_000,
                "pypeln": 2000,
            },
        ),
    ),
    metrics=(RATE,),
    answer=digest,
    expected=lambda size: digest(scored(aged(priced(record(n)))) for n in range(size)),
    score=rate,
    targets=(
        Target("at least", 0.85, RATE.name, ("hand-raw b=64", "hand-raw b=256"), label="hand-raw"),
        Target(
            "at least",
            1.2,
            RATE.name,
            ("Pool.imap b=500", "futures b=500", "joblib b=500", "mpire b=500"),
            label="the best tuned pool",
        ),
    ),
)
