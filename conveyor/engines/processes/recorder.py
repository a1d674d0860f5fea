"""The flight recorder: what a worker has in work, and how it spends its time.

It is memory that outlives the worker. The worker notes the batch before it starts it, and the
index of each item before the item. So after a SIGKILL the parent can tell which item it was.
Gauges tell the parent, while all runs, how much work each worker does and what it waits for.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence, Sized
from resource import RUSAGE_SELF, getrusage, struct_rusage
from time import perf_counter_ns
from typing import Any, NamedTuple, Protocol, cast

from conveyor.engines import counters
from conveyor.engines.counters import (
    BATCHES,
    BLOCKED,
    BUSY,
    BYTES_IN,
    BYTES_OUT,
    ITEMS,
    OUT,
    PICKLING,
    SINCE,
    STARVED,
    STATE,
    WORK,
)
from conveyor.engines.histogram import Times
from conveyor.engines.processes.large import Parcel
from conveyor.engines.processes.noted import Noter
from conveyor.engines.tape import Tape
from conveyor.flow.progress import Entry

_HEAD = 16 * 8
_GAUGE = counters.FIELDS * 8
"""Bytes of the fields of the head, and of those of each gauge."""

_ROOM = 256 << 10

# Fields of the head: the index of the item; how many items from there on it may be one of; when
# it is overdue, in nanoseconds, or 0 where it never is; the number of the worker, plus 1, or 0
# where nothing is in work; the number of items in the batch; the bytes of its payload, or 0 where
# it had no room; the items that a source has made in this run; whether the run is traced, which
# the parent writes before the run begins; how many items of the batch were done before, which the
# index does not count; the link that it came by, and its position there; whether the worker
# answers when it is asked for its stacks; the number of the worker that loads a batch, plus 1, and
# the items of that, or 0 where none does; the index of the item that is being loaded, plus 1, or 0
# where that is not known.
_INDEX, _SPAN, _DEADLINE, _WORKER, _COUNT, _BYTES, _MADE, _TRACED = range(8)
_FIRST, _LINK, _POSITION, _LISTENS, _LOADER, _LOADING = range(8, 14)

_WORKERS = 32
"""Bits of the field that says which worker loads a batch; the ones above say how many items."""

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
        return Gauge(memoryview(bytearray(_GAUGE)).cast("Q"), is_alone=True)

    @property
    def since(self) -> int:
        """Since when it is in its state, in nanoseconds of ``perf_counter_ns``."""
        return int(self._fields[SINCE])

    def enter(self, state: int) -> None:
        """Be in a state from now on, ``BUSY`` or another one."""
        fields, now = self._fields, perf_counter_ns()
        if before := fields[STATE]:
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
    return _HEAD + _GAUGE * workers + _ROOM


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
        """Shared counters; places 0 and 1 say which item is in work, see `Stage.batch`."""
        behind = _HEAD + _GAUGE * len(workers)
        self._gauges = {
            worker: Gauge(self._view[start : start + _GAUGE].cast("Q"))
            for worker, start in zip(workers, range(_HEAD, behind, _GAUGE), strict=True)
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
            self._payload[:size] = cast("bytes", payload)
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

    def resume(self, worker: int) -> None:
        """Note that what a worker had in work is in work again, if nothing else was meanwhile."""
        self.fields[_WORKER] = self._paused if self._paused == worker + 1 else 0

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
        deadline = self.fields[_DEADLINE]
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
        self.fields[_WORKER] = self.fields[_DEADLINE] = self.fields[_LISTENS] = 0
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
