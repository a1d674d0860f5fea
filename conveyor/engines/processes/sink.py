"""The end of a pipeline: frames come out as items, which a consumer takes."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from conveyor.engines.counters import STARVED
from conveyor.engines.processes.gauge import Gauge
from conveyor.engines.processes.way_in import WayInEnd
from conveyor.engines.processes.wire import unpack_items
from conveyor.engines.tape import Tape
from conveyor.flow.batch import Path
from conveyor.flow.order import Completion
from conveyor.flow.pace import Pace
from conveyor.plan import Channel, PlannedWorker


class Sink:
    """Where frames come out: in the caller's process."""

    def __init__(self, planned: PlannedWorker, channels: tuple[Channel, ...]) -> None:
        self.way_in = WayInEnd(planned.element, planned.way_in, channels, works=False)
        self.gauge = Gauge.alone()
        self._completion = Completion()
        self._pace = Pace()
        self.has_ended = False
        self.tape: Tape | None = None
        self._path: Path = ()

    def begin(self, tape: Tape | None = None) -> None:
        """Begin a run; if it is traced, there is a tape."""
        self.gauge.enter(STARVED)
        self.has_ended = False
        self.tape = tape

    def take(self) -> tuple[list[Any], bool]:
        """The items of the next frame, and whether a batch is complete with it."""
        frame = self.way_in.take()
        self.has_ended = bool(frame.end)
        self._path = frame.path
        started = perf_counter_ns()
        items = unpack_items(self.way_in.name, frame, is_callers=True)
        spent = perf_counter_ns() - started
        self.gauge.count(len(items), frame.size)
        self.gauge.gave(len(items))
        self.gauge.unpickled(spent)
        self.gauge.spend(spent)
        return items, self._completion.add(frame.path, 1)

    def consumed(self, items: int, seconds: float) -> None:
        """The consumer kept so many items, those of the last frame, for so long until now."""
        if self.tape is not None:
            now = perf_counter_ns()
            self.tape.add("batch", now - int(seconds * 1e9), now, self._path, items)
        if items:
            self.gauge.spend(int(seconds * 1e9))
            self._pace.add(items, seconds)
            self.way_in.service = self._pace.seconds
