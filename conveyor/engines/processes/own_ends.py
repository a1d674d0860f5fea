"""The ends of a pipeline in the caller's process: where items go in, and where outputs come out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import partial
from multiprocessing.connection import Connection

from conveyor.engines.processes.accounts import Accounts, taken_off
from conveyor.engines.processes.connect import connect_locally, connect_lower, connect_upper, use
from conveyor.engines.processes.durable import DurableReceiver, DurableSender
from conveyor.engines.processes.gauge import Gauge
from conveyor.engines.processes.log import Log
from conveyor.engines.processes.memory import Memory
from conveyor.engines.processes.sink import Sink
from conveyor.engines.processes.source import SourceActor
from conveyor.engines.processes.staff import End, Staff
from conveyor.engines.tape import Tape
from conveyor.plan.model import PARENT


class OwnEnds:
    """The sink of a pipeline that is live, and its feed, where the items are the caller's.

    Args:
        staff: the processes that they are joined to.
        may_end: whether the feed may send the end of the stream; asked again until it may.
        told: called with what the feed counted, at the end of each run.

    Attributes:
        sink: where outputs come out.
        feed: where the caller's items go in; None where a source makes them.
        gauge: that of the feed.
        made: how many items the feed has made batches of.
    """

    def __init__(
        self, staff: Staff, *, may_end: Callable[[], bool], told: Callable[[Accounts], None]
    ) -> None:
        first, last = staff.plan.workers[0], staff.plan.workers[-1]
        self._staff = staff
        self._durable: list[DurableSender | DurableReceiver] = []
        self._is_traced = False
        self.made = 0
        self.gauge = Gauge.alone()
        self.sink = Sink(last, staff.plan.channels)
        self.feed: SourceActor | None = None
        if first.kind == "feed":
            self.feed = SourceActor(
                first,
                staff.plan.channels,
                staff.window,
                stage=None,
                gauge=self.gauge,
                may_end=may_end,
                told=told,
                made=self._made,
                tape=partial(self._tape, 0),
            )
            self.feed.wake_on = staff.poller.wake_on
            self.feed.shares = True
            self.feed.ends_late = bool(staff.plan.scaled)

    def _made(self, items: int) -> None:
        self.made = items

    def _tape(self, worker: int) -> Tape | None:
        return Tape(worker) if self._is_traced else None

    def begin(self, *, is_traced: bool) -> None:
        """A run begins: outputs may come. The feed begins when it is given items."""
        self._is_traced = is_traced
        self.sink.begin(self._tape(len(self._staff.plan.workers) - 1))

    def tapes(self) -> list[Tape]:
        """The tapes of a run that was traced; they are not here any more then."""
        of_feed = [] if self.feed is None else taken_off(self.feed)
        return [*of_feed, *taken_off(self.sink)]

    # -- what they are joined to --

    def share(self, classes: frozenset[type]) -> None:
        """Take note of the classes of ``__main__`` that all processes have."""
        if self.feed is not None:
            self.feed.way_out.shared = classes

    def use(self, memory: Memory) -> None:
        """Let large items go through shared memory."""
        for actor in filter(None, (self.feed, self.sink)):
            use(memory, actor)

    def connect(
        self, slots: frozenset[int], channels: Collection[int], ends: Collection[End]
    ) -> None:
        """Connect the feed and the sink to what has come.

        Args:
            slots: the branches that have come.
            channels: the channels that came along.
            ends: the parent's own ends of them.
        """
        if self.feed is not None:
            self.feed.way_out.outlet.attach(slots)
        poller = self._staff.poller
        for end in ends:
            connection, log_end = end.connection, None
            if end.log is not None:
                connection = Connection(os.dup(connection.fileno()))
                log_end = Log(os.dup(end.log))
            if end.is_upper:
                own = connect_upper(self.feed, end.channel, connection, log_end, poller)
            else:
                own = connect_lower(self.sink, end.channel, connection, log_end, poller)
            if log_end is not None:
                self._durable.append(own)
        for number in channels:
            if self._is_upper(number) and self._is_lower(number):
                connect_locally(self.feed, self.sink, number)

    def detach(self, slots: frozenset[int]) -> None:
        """Let the feed send some branches their ends, if it sends to them."""
        if self.feed is not None:
            self.feed.way_out.outlet.detach(slots)

    def loosen(self, channels: Collection[int]) -> None:
        """Give up the ends of channels that are laid anew, for workers that move."""
        for number in channels:
            if self.feed is not None and self._is_upper(number):
                self.feed.way_out.loosen(number)
            if self._is_lower(number):
                self.sink.way_in.loosen(number)

    def _is_upper(self, channel: int) -> bool:
        return self._staff.process(self._staff.plan.channels[channel].source) == PARENT

    def _is_lower(self, channel: int) -> bool:
        return self._staff.process(self._staff.plan.channels[channel].target) == PARENT

    def close(self) -> None:
        """Close what is not the staff's."""
        if self.feed is not None:
            self.feed.leave_off()
        for own in self._durable:
            own.close()
        self._durable.clear()
