"""Two million integers through a stage into a consumer that takes a millisecond for each.

Stopped after some seconds. What counts is what is held meanwhile: the peak memory of the whole
tree of processes, and how many items were taken from the source but not by the consumer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from time import perf_counter, sleep

from benchmarks import peers
from benchmarks.contest import Contestant, Metric, Run, Workload
from benchmarks.hand import raw
from benchmarks.memory import watched
from benchmarks.targets import Target

SECONDS = 2.5
PEAK = Metric("peak MB", "less", digits=0)
IN_FLIGHT = Metric("items in flight", "less")


def add_one(x: int) -> int:
    """The work of the stage."""
    return x + 1


class Numbers:
    """The integers below a size, and how many of them were taken."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.taken = 0

    def __len__(self) -> int:
        """How many there are, for those that ask."""
        return self._size

    def __iter__(self) -> Iterator[int]:
        for number in range(self._size):
            self.taken += 1
            yield number


def consume(numbers: Numbers, stream: Iterable[int]) -> Run:
    """Take items slowly; give them, the peak, and the most that were in flight."""
    came: list[int] = []
    most = 0
    started = perf_counter()
    with watched() as peak:
        for item in stream:
            sleep(0.001)
            came.append(item)
            most = max(most, numbers.taken - len(came))
            if perf_counter() - started > SECONDS:
                break
    return Run((came, peak.megabytes, most), perf_counter() - started)


def conveyor(size: int) -> Run:
    """A processor, and a stream that is left."""
    from conveyor import Processor

    numbers = Numbers(size)
    return consume(numbers, Processor(add_one).stream(numbers))


def hand_raw(size: int, method: raw.Method = "forkserver") -> Run:
    """A process that shares nothing with the parent, and eight batches under way."""
    numbers = Numbers(size)
    with raw.chain(raw.Each(add_one), method=method) as ends:
        batches = raw.through(ends, numbers, 1024)
        return consume(numbers, (item for batch in batches for item in batch))


def peer(one: peers.Peer, size: int) -> Run:
    """A stage, and its results as they come."""
    numbers = Numbers(size)
    # Some let go only when all items are done; so it is not closed, but killed with us.
    left_open.append(one.open([add_one]))
    take = left_open[-1].__enter__()
    return consume(numbers, take(numbers))


left_open: list[AbstractContextManager[peers.Take]] = []


def score(run: Run, _: int) -> dict[str, float]:
    """Score the peak, and what was in flight."""
    _, peak, most = run.result
    return {PEAK.name: peak, IN_FLIGHT.name: most}


def is_right(came: list[int]) -> bool:
    """Whether these are the first items, each once."""
    return len(came) > 0 and sorted(came) == list(range(1, len(came) + 1))


MEMORY = Workload(
    name="memory",
    title=f"integers into a consumer that takes 1 ms each, stopped after {SECONDS:g} s",
    contestants=(
        Contestant("conveyor", conveyor, 2_000_000),
        Contestant("hand-raw b=1024", hand_raw, 2_000_000),
        Contestant("hand-raw, forked", partial(hand_raw, method="fork"), 2_000_000),
        *peers.contestants(
            peer,
            dict.fromkeys(
                (
                    "mpipe",
                    "mpire b=1000",
                    "Pool.imap",
                    "parallel-conveyor",
                    "joblib",
                    "pypeln",
                ),
                2_000_000,
            ),
        ),
    ),
    metrics=(PEAK, IN_FLIGHT),
    answer=lambda result: is_right(result[0]),
    expected=lambda _: True,
    score=score,
    targets=(Target("at most", 30, PEAK.name, ("hand-raw b=1024",), by="excess"),),
)
