"""How long items took: a histogram with fixed bounds, so that any two can be added.

The buckets are those of time in nanoseconds. Up to 16 ns each has its own; from there on every
doubling of the time has eight, each an eighth of it wide. A quantile is the middle of a bucket, so
it is off by 6 % at most. The last one also has what took longer than about nine hours.

Who writes it counts in shared memory; who reads it makes a :class:`Histogram` of the counts.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

_BITS = 3
_STEPS = 1 << _BITS
_LONGEST = (1 << 45) - 1

BUCKETS = (45 - _BITS) * _STEPS + _STEPS
"""How many there are."""


def bucket(nanoseconds: int) -> int:
    """The bucket of a time."""
    if nanoseconds < 2 * _STEPS:
        return nanoseconds
    if nanoseconds > _LONGEST:  # noqa: PLR1730 - `min` takes as long as the rest
        nanoseconds = _LONGEST
    shift = nanoseconds.bit_length() - _BITS - 1
    return shift * _STEPS + (nanoseconds >> shift)


def bounds(number: int) -> tuple[float, float]:
    """The seconds from which on, and up to which, times are in a bucket."""
    if number < 2 * _STEPS:
        return number / 1e9, (number + 1) / 1e9
    shift = number // _STEPS - 1
    low = (number % _STEPS + _STEPS) << shift
    return low / 1e9, (low + (1 << shift)) / 1e9


class Times:
    """Counts how long items took.

    Args:
        counts: ``BUCKETS`` counters from ``start`` on.
        start: the place of the first one.
        total: the place of the counter for the sum, in nanoseconds.
    """

    def __init__(
        self,
        counts: MutableSequence[int] | memoryview[int] | None = None,
        start: int = 0,
        total: int = BUCKETS,
    ) -> None:
        self._counts = [0] * (BUCKETS + 1) if counts is None else counts
        self._start = start
        self._total = total

    def add(self, nanoseconds: int, items: int = 1) -> None:
        """So many items took so long, each."""
        counts = self._counts
        counts[self._start + bucket(nanoseconds)] += items
        counts[self._total] += nanoseconds * items

    def histogram(self) -> Histogram:
        """The times up to now."""
        start = self._start
        return Histogram.of(self._counts[start : start + BUCKETS], self._counts[self._total] / 1e9)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long items took.

    Attributes:
        counts: how many items there are in each bucket; trailing zeros are left out.
        total: the sum of all times, in seconds.
    """

    counts: tuple[int, ...] = field(default=(), repr=False)
    total: float = 0.0

    @staticmethod
    def of(counts: Sequence[int], total: float) -> Histogram:
        """The histogram of these counters."""
        used = next((n for n in range(len(counts), 0, -1) if counts[n - 1]), 0)
        return Histogram(tuple(counts[:used]), total)

    def __add__(self, other: Histogram) -> Histogram:
        both = zip_longest(self.counts, other.counts, fillvalue=0)
        return Histogram(tuple(a + b for a, b in both), self.total + other.total)

    @property
    def items(self) -> int:
        """How many items were timed."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Seconds that an item took on average; 0 where none was timed."""
        items = self.items
        return self.total / items if items else 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the items was done; 0 where none was timed."""
        wanted, seen = share * self.items, 0
        for low, high, items in self.buckets():
            seen += items
            if seen >= wanted:
                return (low + high) / 2
        return 0.0

    @property
    def p50(self) -> float:
        """Seconds within which half of the items were done."""
        return self.quantile(0.5)

    @property
    def p90(self) -> float:
        """Seconds within which nine items of ten were done."""
        return self.quantile(0.9)

    @property
    def p99(self) -> float:
        """Seconds within which 99 items of 100 were done."""
        return self.quantile(0.99)

    def buckets(self) -> Iterator[tuple[float, float, int]]:
        """The buckets that are not empty: from and up to how many seconds, and how many items."""
        for number, items in enumerate(self.counts):
            if items:
                yield (*bounds(number), items)

    def to_dict(self) -> dict[str, float]:
        """How many items there are, and in seconds their mean and their quantiles."""
        return {
            "items": self.items,
            "mean": self.mean,
            "p50": self.p50,
            "p90": self.p90,
            "p99": self.p99,
        }


NO_TIMES = Histogram()
