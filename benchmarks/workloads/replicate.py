"""Every integer to two branches, whose results are joined and summed in the parent."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from importlib import import_module

from benchmarks import peers
from benchmarks.contest import RATE, Contestant, Run, Workload, rate, timed
from benchmarks.hand import raw
from benchmarks.targets import Target


def double(x: int) -> int:
    """The work of one branch."""
    return x * 2


def triple(x: int) -> int:
    """The work of the other."""
    return x * 3


def both(x: int) -> tuple[int, int]:
    """The work of both, for those that have no branches."""
    return double(x), triple(x)


def total(results: Iterable[int]) -> list[int]:
    """The count and the sum."""
    collected = results if isinstance(results, list) else list(results)
    return [len(collected), sum(collected)]


def conveyor(size: int) -> Run:
    """A replicated fork."""
    from conveyor import Feed, Processor

    pipeline = Feed() >> Processor(double) * Processor(triple)
    with pipeline.open() as live:
        live.run(range(10))
        return timed(lambda: total(live.run(range(size))))


def hand_raw(size: int) -> Run:
    """Two processes that get the same bytes."""

    def run() -> list[int]:
        came = [raw.frames(end.read) for end in ends]
        count = summed = ahead = 0
        for batch in [*raw.batched(range(size), 1024), *[None] * raw.AHEAD]:
            if batch is not None:
                data = raw.pack(batch)
                for end in ends:
                    raw.send_bytes(end.write, data)
                ahead += 1
            if ahead == raw.AHEAD or (batch is None and ahead):
                for results in map(next, came):
                    count += len(results)
                    summed += sum(results)
                ahead -= 1
        return [count, summed]

    with ExitStack() as stack:
        stages = (raw.Each(double), raw.Each(triple))
        ends = [stack.enter_context(raw.chain(stage)) for stage in stages]
        return timed(run)


def serial(size: int) -> Run:
    """One loop."""

    def run() -> list[int]:
        results: list[int] = []
        for x in range(size):
            results += both(x)
        return total(results)

    return timed(run)


def pool(one: peers.Peer, size: int) -> Run:
    """One function that gives both results."""

    def flat(pairs: Iterable[tuple[int, int]]) -> list[int]:
        return total(result for pair in pairs for result in pair)

    return one.run_warm([both], range(10), range(size), gather=flat)


def parallel_conveyor(size: int) -> Run:
    """Its replicating fork; a last stage sends the results."""
    from multiprocessing import SimpleQueue

    stages, pipelines = peers.import_parallel_conveyor()
    results: SimpleQueue[int] = SimpleQueue()

    def send(item: int) -> bool:
        results.put(item)
        return True

    pipeline = pipelines.Pipeline()
    pipeline.add(stages.ReplicatingFork(2))
    pipeline.add(stages.Processor(double), stages.Processor(triple))
    pipeline.add(stages.Join(2))
    pipeline.add(stages.Processor(send))

    def run() -> list[int]:
        # It must be closed first: its join gives all of one branch, then all of the other.
        with pipeline:
            pipeline.run([*range(size)])
        return total(results.get() for _ in range(2 * size))

    return timed(run)


def pypeln(size: int) -> Run:
    """Two stages over the same items, concatenated."""
    process = import_module("pypeln").process

    def run() -> list[int]:
        doubled = process.map(double, range(size))
        tripled = process.map(triple, range(size))
        return total(process.concat([doubled, tripled]))

    return timed(run)


REPLICATE = Workload(
    name="replicate",
    title="integers to two branches, x * 2 and x * 3, joined and summed",
    contestants=(
        Contestant("conveyor", conveyor, 4_000_000),
        Contestant("hand-raw b=1024", hand_raw, 6_000_000),
        Contestant("serial", serial, 6_000_000),
        Contestant("parallel-conveyor", parallel_conveyor, 20_000, "parallel-conveyor"),
        Contestant("pypeln", pypeln, 2000, "pypeln"),
        *peers.contestants(
            pool,
            {
                "Pool.imap b=1000": 2_000_000,
                "futures b=1000": 1_000_000,
                "ray b=1000": 500_000,
            },
        ),
    ),
    metrics=(RATE,),
    answer=lambda result: result,
    expected=lambda size: [2 * size, 5 * (size * (size - 1) // 2)],
    score=rate,
    targets=(
        Target("at least", 0.6, RATE.name, ("hand-raw b=1024",)),
        Target("at least", 8, RATE.name, ("ray b=1000",)),
        Target("at least", 150, RATE.name, ("parallel-conveyor",)),
    ),
)
