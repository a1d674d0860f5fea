"""Gauges: what a worker does, and how it spends its time, for the parent to read while all runs."""

from __future__ import annotations

import os
import struct
from resource import RUSAGE_SELF, getrusage, struct_rusage
from time import perf_counter_ns
from typing import NamedTuple, Protocol

from conveyor.engines import counters
from conveyor.engines.counters import (
    BATCHES,
    BLOCKED,
    BUSY,
    BYTES_IN,
    BYTES_OUT,
    GONE,
    ITEMS,
    OUT,
    PICKLING,
    SINCE,
    STARVED,
    STATE,
    WORK,
)
from conveyor.engines.histogram import Times

GAUGE = counters.FIELDS * 8
"""Bytes of the fields of a gauge."""

_TIMED = 8
"""The first fields of a gauge tell what was taken, and when; the others what became of it."""

_CLOCK = struct.Struct("Q")

_LOOK = 64
"""Batches from one look at the memory and CPU time of the process to the next."""


class Reading(NamedTuple):
    """What a gauge shows: all that a worker has done since it began.

    Attributes:
        items: the items that it took.
        batches: the frames that they came in.
        busy: seconds at work.
        starved: seconds that it waited for something to do.
        blocked: seconds that it waited for room to give on what it had done.
        cpu: seconds for which it had a core, where that is known; the gauge itself does not.
        work: seconds of work as :class:`WorkMeter` counts them, where somebody asks for that.
    """

    items: int = 0
    batches: int = 0
    busy: float = 0.0
    starved: float = 0.0
    blocked: float = 0.0
    cpu: float | None = None
    work: float = 0.0


class Glance:
    """What a gauge showed at some time, of its load.

    Args:
        copy: all of its counters, and the time.
    """

    def __init__(self, copy: bytes) -> None:
        self._copy = copy

    @property
    def reading(self) -> Reading:
        """What it showed."""
        fields = counters.read(self._copy)
        return Reading(
            fields[ITEMS],
            fields[BATCHES],
            fields[BUSY] / 1e9,
            fields[STARVED] / 1e9,
            fields[BLOCKED] / 1e9,
            work=fields[WORK] / 1e9,
        )


_schedstat: list[int] = []
"""The descriptor by which a worker process learns how long it waited for a core."""


def _queued() -> int:
    """For how many nanoseconds this process, a worker, could have run and had no core."""
    try:
        if not _schedstat:
            _schedstat.append(os.open("/proc/self/schedstat", os.O_RDONLY))
        return int(os.pread(_schedstat[0], 128, 0).split()[1])
    except (OSError, IndexError, ValueError):  # not every kernel tells
        return 0


class Counting(Protocol):
    """What has become of the items of a worker, since it is there."""

    items_out: int
    filtered: int
    skipped: int
    dead: int
    added: int
    retried: int


class Gauge:
    """What one worker does, and how it spends its time.

    The worker writes when it begins to wait and when it gets on, so that one that never waits
    spends nothing. Who reads adds the time since then: a state that lasts is seen at once.

    Args:
        fields: ``counters.FIELDS`` of them; shared memory, where somebody else is to read them.
    """

    def __init__(self, fields: memoryview[int], *, is_alone: bool = False) -> None:
        self._fields = fields
        self._is_alone = is_alone

    @staticmethod
    def alone() -> Gauge:
        """A gauge of the caller's process, which nobody else reads."""
        return Gauge(memoryview(bytearray(GAUGE)).cast("Q"), is_alone=True)

    @property
    def since(self) -> int:
        """Since when it is in its state, in nanoseconds of ``perf_counter_ns``."""
        return int(self._fields[SINCE])

    def enter(self, state: int) -> None:
        """Be in a state from now on, ``BUSY`` or another one."""
        fields, now = self._fields, perf_counter_ns()
        if before := fields[STATE]:
            # In none meanwhile, or who reads now would count that time twice.
            fields[STATE] = GONE
            fields[before] += now - fields[SINCE]
        fields[SINCE] = now
        fields[STATE] = state

    def count(self, items: int, size: int = 0) -> None:
        """A frame of so many items, and of so many bytes where it was pickled, has been taken."""
        fields = self._fields
        fields[ITEMS] += items
        fields[BATCHES] += 1
        fields[BYTES_IN] += size

    def spend(self, nanoseconds: int) -> None:
        """So long it was at work up to now, and not in the state that it has entered."""
        fields = self._fields
        fields[BUSY] += nanoseconds
        fields[SINCE] = min(fields[SINCE] + nanoseconds, perf_counter_ns())

    def unpickled(self, nanoseconds: int) -> None:
        """So long it took to unpickle a frame."""
        self._fields[PICKLING] += nanoseconds

    def pickled(self, nanoseconds: int, size: int) -> None:
        """So long it took to pickle so many bytes."""
        fields = self._fields
        fields[PICKLING] += nanoseconds
        fields[BYTES_OUT] += size

    def gave(self, items: int) -> None:
        """So many items went on, of a worker that has no account."""
        self._fields[OUT] += items

    def note(self, stage: Counting) -> None:
        """A batch is done: note what became of its items."""
        fields = self._fields
        # A word each: struct.pack_into fills its room with zeros first, which readers would see.
        fields[OUT] = stage.items_out
        fields[counters.FILTERED] = stage.filtered
        fields[counters.SKIPPED] = stage.skipped
        fields[counters.DEAD] = stage.dead
        fields[counters.ADDED] = stage.added
        fields[counters.RETRIED] = stage.retried
        if fields[BATCHES] % _LOOK == 1:
            self.look()

    def finish(self, stage: Counting | None) -> None:
        """A run is done: have all counters tell of it, before its end is seen."""
        if stage is not None:
            self.note(stage)
        if not self._is_alone:
            self.look()
        self.enter(GONE)

    def look(self, usage: struct_rusage | None = None) -> None:
        """Note what memory and CPU time the process has taken, of which somebody may know."""
        usage = usage or getrusage(RUSAGE_SELF)
        self._fields[counters.PEAK] = usage.ru_maxrss
        self._fields[counters.CPU] = int((usage.ru_utime + usage.ru_stime) * 1e9)
        if not self._is_alone:
            self._fields[counters.QUEUED] = _queued()

    def worked(self, nanoseconds: int) -> None:
        """So long it took to process some items, see :class:`WorkMeter`."""
        self._fields[WORK] += nanoseconds

    @property
    def times(self) -> Times:
        """How long its items took."""
        return Times(self._fields, counters.TIMES, counters.SERVICE)

    @property
    def state(self) -> tuple[int, float]:
        """The state now, or 0 where it has not begun, and for how many seconds."""
        since = self._fields[SINCE]
        return self._fields[STATE], (perf_counter_ns() - since) / 1e9

    @property
    def pulse(self) -> bytes:
        """What changes whenever it takes something, begins to wait, or gets on."""
        return bytes(self._fields[: SINCE + 1])

    def read(self) -> Reading:
        """What it shows now of its load."""
        return Glance(self.copy()).reading

    def clear(self) -> None:
        """Begin anew, for a worker that has come to this process again."""
        for field in range(len(self._fields)):
            self._fields[field] = 0

    def release(self) -> None:
        """Let go of the memory; it counts nothing more."""
        self._fields.release()

    def copy(self) -> bytes:
        """All of its counters, and the time; `Counted` reads them."""
        # What went on first: nobody is to see more of it than of what was taken, before it.
        rest = bytes(self._fields[_TIMED:])
        return bytes(self._fields[:_TIMED]) + rest + _CLOCK.pack(perf_counter_ns())


class WorkMeter:
    """Measures how long a worker takes to process items, whatever else the machine has to do.

    Time in which there was no core for it does not count: on a busy machine that is most of the
    time, and falls on any worker. To ask takes 1 us, so that is done once for a batch.

    Args:
        gauge: where it is counted.
    """

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._started = self._queued = 0

    def start(self) -> None:
        """Work begins, or goes on."""
        self._queued, self._started = _queued(), perf_counter_ns()

    def stop(self) -> None:
        """Work is done, or interrupted."""
        taken = perf_counter_ns() - self._started
        self._gauge.worked(max(0, taken - (_queued() - self._queued)))
