"""The account of a simulation: where every frame is, and what must hold at any time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from conveyor.flow.batch import Frame, Path, component
from conveyor.flow.credit import FRAMES
from conveyor.plan import Plan


class Broken(AssertionError):
    """A rule of the machines does not hold."""


def hold(rule: str, is_kept: bool, *about: object) -> None:
    if not is_kept:
        raise Broken(rule, *map(str, about))


class Ledger:
    """Where every frame is, from the way out of a worker until another one takes it into work.

    The addresses of all frames that are anywhere at one time differ, and none is a part of
    another: else something would come out twice.

    Args:
        plan: the plan.
        window: the most batches under way.
        frames: the most frames on a link.
        size: the most bytes on a link.
    """

    def __init__(self, plan: Plan, *, window: int, frames: int, size: int) -> None:
        self._capacities = [channel.capacity for channel in plan.channels]
        self._window = window
        self._frames = frames
        self._size = size
        self._untaken: list[deque[tuple[int, int]]] = []
        self._channels: list[int] = []
        self._alive: list[Path] = []
        self._held: list[set[Path]] = [set() for _ in plan.workers]
        self._retired: set[int] = set()
        self.most = 0
        """The most frames that there were at one time."""

    def begin(self) -> None:
        """Begin a run."""
        hold("nothing is left of the run before", not self._alive, self._alive)
        self._retired.clear()

    def link(self, channel: int) -> int:
        """A new link for a channel; give its number."""
        self._channels.append(channel)
        self._untaken.append(deque())
        return len(self._channels) - 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing anywhere."""
        return not self._alive and not any(self._untaken)

    def sent(self, link: int, frame: Frame) -> None:
        """A frame goes into a link."""
        channel = self._channels[link]
        # Of a piece, which is pickled by itself once it goes, the sender knows the bytes about.
        size = frame.share or (0 if frame.payload is None else len(frame.payload))
        capacity, untaken = self._capacities[channel], self._untaken[link]
        untaken.append((frame.count, size))
        hold("frames within credit", len(untaken) <= self._frames, channel, len(untaken))
        items, sizes = (sum(column) for column in zip(*untaken, strict=True))
        if capacity is not None:
            hold("items within capacity", items <= capacity, channel, items)
        elif len(untaken) > 1:
            # One frame may be larger, beside what is so small that its credit may be late.
            beside = sizes - max(size for _, size in untaken)
            fits = sizes <= self._size or beside <= self._size // FRAMES
            hold("bytes within credit", fits, channel, sizes)
        self._lives(frame.path)

    def taken(self, link: int) -> None:
        """The receiver has taken a frame of a link into work, or into a join that waits."""
        self._untaken[link].popleft()

    def held(self, worker: int, frame: Frame) -> None:
        """A join that waits for others has got a frame."""
        self._held[worker].add(indexes(frame.path))

    def ready(self, worker: int, frame: Frame) -> None:
        """A join gives a frame, in place of those that it was made of."""
        path = indexes(frame.path)
        made_of = {one for one in self._held[worker] if one[: len(path)] == path}
        hold("what comes out of a join has come in", bool(made_of), worker, frame)
        self._held[worker] -= made_of
        for one in made_of:
            self._dies(one)
        self._lives(frame.path)

    def split(self, path: Path) -> None:
        """A frame becomes two."""
        self._dies(indexes(path))
        for part in range(2):
            self._lives((*path, component(part, last=part == 1)))

    def worked(self, frame: Frame) -> None:
        """A worker takes a frame that is ready."""
        self._dies(indexes(frame.path))

    def retire(self, batch: int) -> None:
        """A batch has come out completely."""
        hold("a batch is complete once", batch not in self._retired, batch)
        parts = [path for path in self._alive if path[0] == batch]
        hold("nothing of a complete batch is under way", not parts, batch, parts)
        self._retired.add(batch)

    def _lives(self, path: Path) -> None:
        path, alive = indexes(path), self._alive
        at = bisect_left(alive, path)
        if at:
            before = alive[at - 1]
            hold("addresses differ", path[: len(before)] != before, path, before)
        if at < len(alive):
            after = alive[at]
            hold("addresses differ", after[: len(path)] != path, path, after)
        hold("nothing comes of a complete batch", path[0] not in self._retired, path)
        insort(alive, path)
        self.most = max(self.most, len(alive))
        # The end may be under way besides.
        batches = len({one[0] for one in alive})
        hold("batches within the window", batches <= self._window + 1, alive)

    def _dies(self, path: Path) -> None:
        at = bisect_left(self._alive, path)
        hold("what is taken was there", self._alive[at : at + 1] == [path], path)
        del self._alive[at]


def indexes(path: Path) -> Path:
    """A path without the marks of the last ones, which make no difference to what it names."""
    return tuple(part >> 1 for part in path)
