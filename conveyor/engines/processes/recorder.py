"""The flight recorder: what a worker has in work.

It is memory that outlives the worker. The worker notes the batch before it starts it, and the
index of each item before the item. So after a SIGKILL the parent can tell which item it was.
The gauges of the workers lie behind it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence, Sized
from time import perf_counter_ns
from typing import Any

from conveyor.engines.limit import DEADLINE
from conveyor.engines.processes.gauge import GAUGE, Gauge
from conveyor.engines.processes.large import Parcel
from conveyor.engines.processes.noted import Noter
from conveyor.engines.tape import Tape
from conveyor.flow.progress import Entry

_HEAD = 16 * 8
"""Bytes of the fields of the head."""

_ROOM = 256 << 10

# Fields of the head: the index of the item; how many items from there on it may be one of; when it
# is overdue, in nanoseconds, or 0 where it never is, see `DEADLINE`; the number of the worker, plus
# 1, or 0 where nothing is in work; the number of items in the batch; the bytes of its payload, or 0
# where it had no room; the items that a source has made in this run; whether the run is traced,
# which the parent writes before the run begins; how many items of the batch were done before, which
# the index does not count; the link that it came by, and its position there; whether the worker
# answers when it is asked for its stacks; the number of the worker that loads a batch, plus 1, and
# the items of that, or 0 where none does; the index of the item that is being loaded, plus 1, or 0
# where that is not known; the worker whose turn it is.
_INDEX, _SPAN, _, _WORKER, _COUNT, _BYTES, _MADE, _TRACED = range(8)
_FIRST, _LINK, _POSITION, _LISTENS, _LOADER, _LOADING, _TURN = range(8, 15)

_WORKERS = 32
"""Bits of the field that says which worker loads a batch; the ones above say how many items."""


def create(workers: int) -> int:
    """A descriptor of new anonymous memory for the recorder of a process of so many workers."""
    fd = os.memfd_create("conveyor-recorder", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, _size(workers))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _size(workers: int) -> int:
    """Pages that are never written take no memory."""
    return _HEAD + GAUGE * workers + _ROOM


class Recorder:
    """One end of a recorder: the worker's, which writes, or the parent's, which reads.

    Args:
        fd: the descriptor that :func:`create` gave; it is closed here.
        workers: the numbers of the workers that are, or may come to be, in the process.
    """

    def __init__(self, fd: int, workers: Sequence[int]) -> None:
        try:
            self._map = mmap.mmap(fd, _size(len(workers)))
        finally:
            os.close(fd)
        self._view = memoryview(self._map)
        self.fields = self._view[:_HEAD].cast("Q")
        """Shared counters; places 0 and 1 say which item is in work, see `Batch.at`."""
        behind = _HEAD + GAUGE * len(workers)
        self._gauges = {
            worker: Gauge(self._view[start : start + GAUGE].cast("Q"))
            for worker, start in zip(workers, range(_HEAD, behind, GAUGE), strict=True)
        }
        self._payload = self._view[behind:]
        self._paused = 0
        """The worker whose batch waits, as `fields` have it; 0 where there is none."""
        self._noter = Noter()

    def gauge(self, worker: int) -> Gauge:
        """The gauge of a worker of this process."""
        return self._gauges[worker]

    def begin(
        self, worker: int, count: int, payload: Sized | None, first: int = 0, entry: Entry = (0, 0)
    ) -> None:
        """Note a batch that is going into work.

        Args:
            worker: whose.
            count: its items.
            payload: those, pickled.
            first: how many of them are done, which :attr:`place` counts, and the indexes do not.
            entry: where it came from.
        """
        fields = self.fields
        self._paused = 0
        if isinstance(payload, Parcel):
            payload = payload.note
        size = len(payload) if payload is not None else 0
        if size > _ROOM:
            size = 0
        fields[_WORKER] = 0
        if payload is not None and size:
            data: Any = payload  # no parcel any more
            self._payload[:size] = data
        fields[_BYTES] = size
        fields[_COUNT] = count
        fields[_INDEX] = 0
        fields[_SPAN] = 1
        fields[_FIRST] = first
        fields[_LINK], fields[_POSITION] = entry
        fields[_WORKER] = worker + 1

    def load(self, worker: int, count: int, first: int = 0, entry: Entry = (0, 0)) -> None:
        """Note a batch that is about to be loaded: to unpickle is to run the user's code.

        Args:
            worker: whose.
            count: its items.
            first: how many of them are done.
            entry: where it came from.
        """
        fields = self.fields
        if entry[1]:
            fields[_FIRST] = first
            fields[_LINK], fields[_POSITION] = entry
        fields[_LOADER] = count << _WORKERS | (worker + 1)

    def loading(self, index: int) -> None:
        """Note which item of that is next."""
        self.fields[_LOADING] = index + 1

    def loaded(self) -> None:
        """Note that it has been loaded."""
        self.fields[_LOADER] = self.fields[_LOADING] = 0

    def pause(self) -> None:
        """Note that nothing is in work for now: what is there waits."""
        self._paused = self.fields[_WORKER]
        self.fields[_WORKER] = 0

    def resume(self, worker: int) -> bool:
        """Note that what a worker had in work is in work again, if nothing else was meanwhile.

        Returns:
            Whether that is so; else it is to begin again.
        """
        is_there = self._paused == worker + 1
        self.fields[_WORKER] = self._paused if is_there else 0
        return is_there

    def note(self, items: list[Any]) -> bytes | None:
        """What to note of the items of a batch that has no bytes."""
        return self._noter.note(items)

    def end(self) -> None:
        """Note that nothing is in work."""
        self.fields[_WORKER] = 0

    @property
    def made(self) -> int:
        """How many items the source has made in this run."""
        return int(self.fields[_MADE])

    @made.setter
    def made(self, items: int) -> None:
        self.fields[_MADE] = items

    def is_overdue(self, grace: float) -> bool:
        """Whether what is in work is overdue, by more than so many seconds."""
        deadline = self.fields[DEADLINE]
        return bool(deadline) and perf_counter_ns() > deadline + grace * 1e9

    @property
    def is_traced(self) -> bool:
        """Whether the run is traced."""
        return bool(self.fields[_TRACED])

    @is_traced.setter
    def is_traced(self, is_traced: bool) -> None:
        self.fields[_TRACED] = is_traced

    @property
    def listens(self) -> bool:
        """Whether the worker answers when it is asked for its stacks."""
        return bool(self.fields[_LISTENS])

    @listens.setter
    def listens(self, listens: bool) -> None:
        self.fields[_LISTENS] = listens

    @property
    def turn(self) -> int:
        """The worker whose turn it is, or was last: to set up, to work or to clear up."""
        return int(self.fields[_TURN])

    @turn.setter
    def turn(self, worker: int) -> None:
        self.fields[_TURN] = worker

    @property
    def pulse(self) -> bytes:
        """What changes whenever an item goes into work, or is done."""
        return b"".join((bytes(self.fields), *(gauge.pulse for gauge in self._gauges.values())))

    def tape(self, worker: int) -> Tape | None:
        """Where a worker keeps what it does in this run, if that is traced."""
        return Tape(worker) if self.is_traced else None

    @property
    def unloaded(self) -> tuple[int, range, int] | None:
        """Who loads a batch, the indexes of the item that it may be at, and the batch's size."""
        number, at = self.fields[_LOADER], self.fields[_LOADING]
        if not number:
            return None
        count = number >> _WORKERS
        places = range(at - 1, at) if at else range(self.fields[_FIRST], count)
        return (number & ((1 << _WORKERS) - 1)) - 1, places, count

    @property
    def worker(self) -> int | None:
        """The number of the worker that had a batch in work, or None."""
        number = self.fields[_WORKER]
        return number - 1 if number else None

    @property
    def place(self) -> tuple[range, int]:
        """The indexes of the item in work, or of those it may be, and the size of its batch."""
        index, count = self.fields[_FIRST] + self.fields[_INDEX], self.fields[_COUNT]
        return range(index, min(index + self.fields[_SPAN], count)), count

    @property
    def entry(self) -> Entry:
        """Where the batch came from, that is or was last in work."""
        return self.fields[_LINK], self.fields[_POSITION]

    @property
    def key(self) -> tuple[int, ...] | None:
        """What tells the item in work from all others, where another worker may have it again."""
        link, position = self.entry
        index = self.fields[_FIRST] + self.fields[_INDEX]
        return (self.fields[_WORKER], link, position, index) if position else None

    def forget(self) -> None:
        """Let nothing be in work: who had that is gone."""
        self.fields[_WORKER] = self.fields[DEADLINE] = self.fields[_LISTENS] = 0
        self.loaded()

    @property
    def payload(self) -> bytes:
        """The pickled items of the batch; empty where they are not known."""
        return bytes(self._payload[: self.fields[_BYTES]])

    def close(self) -> None:
        """Give the memory back."""
        for gauge in self._gauges.values():
            gauge.release()
        for view in (self.fields, self._payload, self._view):
            view.release()
        self._map.close()
