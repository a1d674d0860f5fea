"""Arrays of 8 MiB through two stages, of which a checksum or the array itself comes back.

The checksum reads all of the array. Elsewhere a stage, or the parent, reads a number of every
page, so that what counts is how the array travels. Eight arrays take turns; nobody changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import ours, peers
from benchmarks.contest import Contestant, Metric, Run, Workload, timed
from benchmarks.hand import pipes
from benchmarks.targets import Target

if TYPE_CHECKING:
    import numpy as np

LENGTH = (8 << 20) // 8
PAGE = 4096 // 8
DIFFERENT = 8
PAYLOAD = Metric("GB/s", "more", digits=2)


def checksum(array: np.ndarray) -> float:
    """The sum of all numbers."""
    return float(array.sum())


def sample(array: np.ndarray) -> float:
    """The sum of a number of every page, times their number in a page."""
    return float(array[::PAGE].sum()) * PAGE


def checked(array: np.ndarray) -> np.ndarray:
    """The array, once it has been looked at."""
    if not sample(array) > 0:
        raise ValueError("not the array that was sent")
    return array


def arrays(size: int) -> Iterator[np.ndarray]:
    """So many arrays, which are made before the first is given."""
    import numpy as np

    made = [np.full(LENGTH, float(number + 1)) for number in range(DIFFERENT)]
    # A view each time, or a peer would see that it has sent this one before.
    return (made[number % DIFFERENT][:] for number in range(size))


def same(total: float) -> float:
    """A checksum is what it is."""
    return total


class Way:
    """What comes back.

    Args:
        last: what the second stage does.
        look: what the parent makes of what it gets.
    """

    def __init__(self, last: Callable[[Any], Any], look: Callable[[Any], float]) -> None:
        self.last = last
        self.look = look

    def totals(self, results: Iterable[Any]) -> list[float]:
        """The checksums of what comes, each as it comes, so that arrays are not kept."""
        return [self.look(result) for result in results]


def conveyor(way: Way, size: int) -> Run:
    """Two processors."""
    with ours.chain(checked, way.last).open() as live:
        way.totals(live.stream(arrays(2)))
        items = arrays(size)
        return timed(lambda: way.totals(live.stream(items)))


def hand_shm(way: Way, size: int) -> Run:
    """A ring of slots."""
    from benchmarks.hand import ring

    items, slots = arrays(size), ring.Ring(LENGTH)

    def result(slot: int, said: float) -> float:
        return said if way.last is checksum else sample(slots.slots[slot])

    with ring.chain(slots, sample, checksum if way.last is checksum else sample) as through:
        [*through(arrays(ring.SLOTS))]
        return timed(lambda: [result(slot, said) for slot, said in through(items)])


def hand_pipe(way: Way, size: int) -> Run:
    """Two processes, and two arrays under way."""
    items = arrays(size)

    def results() -> Iterator[Any]:
        first.send(next(items))
        for array in items:
            first.send(array)
            yield last.recv()
        yield last.recv()

    with pipes.chain(checked, way.last) as (first, last):
        return timed(lambda: way.totals(results()))


def peer(way: Way, one: peers.Peer, size: int) -> Run:
    """What the peer does by itself."""
    first, items = Sized(arrays(2), 2), Sized(arrays(size), size)
    return one.run_warm([checked, way.last], first, items, gather=way.totals)


class Sized:
    """An iterator that tells its length, which some peers ask for."""

    def __init__(self, items: Iterator[Any], length: int) -> None:
        self._items = items
        self._length = length

    def __iter__(self) -> Iterator[Any]:
        """The items, once."""
        return self._items

    def __len__(self) -> int:
        """How many they are."""
        return self._length


def serial(way: Way, size: int) -> Run:
    """One loop: nothing travels."""
    items = arrays(size)
    return timed(lambda: way.totals(way.last(checked(array)) for array in items))


def expected(size: int) -> list[float]:
    """The count, and the sum of all checksums."""
    numbers = (number % DIFFERENT + 1.0 for number in range(size))
    return [size, sum(numbers) * LENGTH]


def score(run: Run, size: int) -> dict[str, float]:
    """Score the payload."""
    return {PAYLOAD.name: size * LENGTH * 8 / run.seconds / 1e9}


def workload(name: str, title: str, way: Way) -> Workload:
    """The contest for one way back."""
    rivals = peers.contestants(
        partial(peer, way),
        {
            "joblib": 100,
            "loky": 60,
            "futures": 60,
            "Pool.imap": 60,
            "pypeln": 60,
            "mpipe": 60,
            "parallel-conveyor": 40,
        },
    )
    return Workload(
        name=name,
        title=title,
        contestants=(
            Contestant("conveyor", partial(conveyor, way), 300, "numpy"),
            Contestant("hand-shm", partial(hand_shm, way), 1500, "numpy"),
            Contestant("hand-pipe", partial(hand_pipe, way), 50, "numpy"),
            Contestant("serial", partial(serial, way), 2000, "numpy"),
            *rivals,
        ),
        metrics=(PAYLOAD,),
        answer=lambda totals: [len(totals), sum(totals)],
        expected=expected,
        score=score,
        targets=(
            Target("at least", 0.7, PAYLOAD.name, ("hand-shm",)),
            Target(
                "at least",
                4,
                PAYLOAD.name,
                tuple(rival.name for rival in rivals),
                label="the best peer",
            ),
        ),
    )


ARRAYS = workload("arrays", "8 MiB arrays through 2 stages, a checksum back", Way(checksum, same))
ARRAYS_BACK = workload(
    "arrays-back", "8 MiB arrays through 2 stages and back", Way(checked, sample)
)
