"""The flight recorder: what a worker has in work, and how it spends its time.

It is memory that outlives the worker. The worker notes the batch before it starts it, and the
index of each item before the item. So after a SIGKILL the parent can tell which item it was.
Gauges tell the parent, while all runs, how much work each worker does and what it waits for.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from time import perf_counter_ns
from typing import cast

from conveyor.engines.processes.large import Parcel

_FIELDS = 8
_HEAD = _FIELDS * 8
"""Bytes of the fields, and of those of each gauge."""

_ROOM = 256 << 10

# Fields: the index of the item; how many items from there on it may be one of; when it is
# overdue, in nanoseconds, or 0 where it never is; the number of the worker, plus 1, or 0 where
# nothing is in work; the number of items in the batch; the bytes of its payload, or 0 where it
# had no room; the items that a source has made in this run.
_INDEX, _SPAN, _DEADLINE, _WORKER, _COUNT, _BYTES, _MADE = range(7)

# Fields of a gauge: the items and the batches that were taken; the nanoseconds in each state;
# the state now, and since when.
_ITEMS, _BATCHES, BUSY, STARVED, BLOCKED, _STATE, _SINCE = range(7)
"""The states are at work, waiting for something to do, and waiting for room to give it on."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a gauge shows: all that a worker has done since it began.

    Attributes:
        items: the items that it took.
        batches: the frames that they came in.
        busy: seconds at work.
        starved: seconds that it waited for something to do.
        blocked: seconds that it waited for room to give on what it had done.
        cpu: seconds for which it had a core, where that is known; the gauge itself does not.
    """

    items: int = 0
    batches: int = 0
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0
    cpu: float | None = None


class Gauge:
    """How one worker spends its time.

    The worker writes when it begins to wait and when it gets on, so that one that never waits
    spends nothing. Who reads adds the time since then: a state that lasts is seen at once.

    Args:
        fields: ``FIELDS`` counters; shared memory, where somebody else is to read them.
    """

    FIELDS = _FIELDS

    def __init__(self, fields: memoryview[int] | list[int]) -> None:
        self._fields = fields

    def enter(self, state: int) -> None:
        """Be in a state from now on: ``BUSY``, ``STARVED`` or ``BLOCKED``."""
        fields, now = self._fields, perf_counter_ns()
        if before := fields[_STATE]:
            fields[before] += now - fields[_SINCE]
        fields[_SINCE] = now
        fields[_STATE] = state

    def count(self, items: int) -> None:
        """A frame of so many items has been taken."""
        self._fields[_ITEMS] += items
        self._fields[_BATCHES] += 1

    def read(self) -> Reading:
        """What it shows now."""
        fields = list(self._fields)
        if fields[_STATE]:
            fields[fields[_STATE]] += perf_counter_ns() - fields[_SINCE]
        seconds = (fields[state] / 1e9 for state in (BUSY, STARVED, BLOCKED))
        return Reading(fields[_ITEMS], fields[_BATCHES], *seconds)


def create(workers: int) -> int:
    """A descriptor of new anonymous memory for the recorder of a process of so many workers."""
    fd = os.memfd_create("conveyor-recorder", os.MFD_CLOEXEC)
    os.ftruncate(fd, _size(workers))
    return fd


def _size(workers: int) -> int:
    """Pages that are never written take no memory."""
    return _HEAD * (1 + workers) + _ROOM


class Recorder:
    """One end of a recorder: the worker's, which writes, or the parent's, which reads.

    Args:
        fd: the descriptor that :func:`create` gave; it is closed here.
        workers: the numbers of the workers of the process.
    """

    def __init__(self, fd: int, workers: Sequence[int]) -> None:
        self._map = mmap.mmap(fd, _size(len(workers)))
        os.close(fd)
        self._view = memoryview(self._map)
        self.fields = self._view[:_HEAD].cast("Q")
        """Shared counters; places 0 and 1 say which item is in work, see `Stage.batch`."""
        starts = range(_HEAD, _HEAD * (1 + len(workers)), _HEAD)
        self._gauges = {
            worker: self._view[start : start + _HEAD].cast("Q")
            for worker, start in zip(workers, starts, strict=True)
        }
        self._payload = self._view[_HEAD * (1 + len(workers)) :]

    def gauge(self, worker: int) -> Gauge:
        """The gauge of a worker of this process."""
        return Gauge(self._gauges[worker])

    def begin(self, worker: int, count: int, payload: Sized | None) -> None:
        """Note a batch that is going into work."""
        fields = self.fields
        if isinstance(payload, Parcel):
            payload = payload.note
        size = len(payload) if payload is not None else 0
        if size > _ROOM:
            size = 0
        fields[_WORKER] = 0
        if payload is not None and size:
            self._payload[:size] = cast("bytes", payload)
        fields[_BYTES] = size
        fields[_COUNT] = count
        fields[_INDEX] = 0
        fields[_SPAN] = 1
        fields[_WORKER] = worker + 1

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
        deadline = self.fields[_DEADLINE]
        return bool(deadline) and perf_counter_ns() > deadline + grace * 1e9

    @property
    def worker(self) -> int | None:
        """The number of the worker that had a batch in work, or None."""
        number = self.fields[_WORKER]
        return number - 1 if number else None

    @property
    def place(self) -> tuple[range, int]:
        """The indexes of the item in work, or of those it may be, and the size of its batch."""
        index, count = self.fields[_INDEX], self.fields[_COUNT]
        return range(index, min(index + self.fields[_SPAN], count)), count

    @property
    def payload(self) -> bytes:
        """The pickled items of the batch; empty where they are not known."""
        return bytes(self._payload[: self.fields[_BYTES]])

    def close(self) -> None:
        """Give the memory back."""
        for view in (self.fields, self._payload, *self._gauges.values(), self._view):
            view.release()
        self._map.close()
