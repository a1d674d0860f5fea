"""How what a worker answers leaves it: an outlet, and the channels that it ends in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sized
from time import perf_counter_ns
from typing import Any, Protocol, cast

from conveyor.engines.counters import BLOCKED, BUSY
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.gauge import Gauge
from conveyor.engines.processes.large import LargeItems, Parcel, given
from conveyor.engines.processes.memory import Memory
from conveyor.engines.processes.pickling import dumps
from conveyor.engines.processes.wire import pack_items, unpack_items
from conveyor.engines.tape import Tape
from conveyor.flow.batch import Frame
from conveyor.flow.credit import Credit
from conveyor.flow.route import Balance, LinkOut, Outlet, Replicate, Route
from conveyor.plan import Channel, Fan, WayOut

Coroutine = Generator[bool, None, None]
"""What an actor does, or a part of that: True when it has got on, False when it waits."""


class Upper(Protocol):
    """The end of a channel that sends."""

    @property
    def is_flushed(self) -> bool:
        """Whether all that was sent is on its way."""
        ...

    def send(self, frame: Frame) -> None:
        """Send a frame."""

    def close(self) -> None:
        """Send nothing any more."""


class WayOutEnd:
    """An outlet with the channels that it ends in.

    Args:
        name: the element that sends.
        way: where its frames go.
        channels: those of the plan.
        gauge: where it notes how it spends its time.
        cuts: see :class:`Outlet`.
    """

    def __init__(
        self,
        name: str,
        way: WayOut,
        channels: tuple[Channel, ...],
        gauge: Gauge,
        *,
        cuts: bool = True,
    ) -> None:
        self.name = name
        self._gauge = gauge
        self.outlet = Outlet(route(way, channels), cuts=cuts)
        self._is_durable = any(channels[leaf.link].durable for leaf in self.outlet.leaves)
        self.takes_end_along = not self.outlet.balances and not self._is_durable
        """Whether the end may come along with items: a balanced fork gives it to all branches. Who
        may be started again answers it for itself."""
        self.ends: dict[int, Upper] = {}
        self._local: set[int] = set()
        self._stays_here = False
        """Whether frames only go, one way each, to workers in this process."""
        self.shared: frozenset[type] | None = None
        """See `pickling.dumps`: set in the process that starts workers."""
        self.weigh: Callable[[int, int], None] | None = None
        self.has_waited = False
        """Whether a frame had to wait for room."""
        self.tape: Tape | None = None
        """That of the worker, in a run that is traced."""
        self._pack: Callable[[list[Any], Collection[type] | None], Sized] = dumps
        self._has_moved = False

    def use(self, memory: Memory) -> None:
        """Let large items go through shared memory, but for what is to outlive this process."""
        if self._is_durable:
            return
        # A frame that is over the capacity of a pipe is cut, and needs its items for that.
        self._pack = LargeItems(memory, self._readers, is_last_use=not self.outlet.bounded)

    def attach_local(self, channel: int, end: Upper) -> None:
        """Send by a channel to a worker in this process from now on."""
        self.ends[channel] = end
        self._local.add(channel)
        self._stays_here = not self.outlet.copies and len(self._local) == len(self.outlet.leaves)

    def loosen(self, channel: int) -> None:
        """Give up the end of a channel on which nothing is; another end will take its place."""
        end = self.ends.pop(channel)
        end.close()
        if channel in self._local:
            self._local.remove(channel)
            self._stays_here = False
        for leaf in self.outlet.leaves:
            if leaf.link == channel:
                leaf.credit = leaf.credit.renewed()

    @property
    def _readers(self) -> int:
        return len(self.outlet.leaves) if self.outlet.copies else 1

    def send(self, frame: Frame) -> Coroutine:
        """Give a frame to the channels; yield while there is no credit."""
        if not self.offer(frame):
            yield from self.clear()

    def offer(self, frame: Frame) -> bool:
        """Give a frame to the channels as far as credit goes; return whether that is all of it.

        Else :meth:`clear` is next. There is room as a rule, and a call costs less than a coroutine.
        """
        if frame.payload is None and frame.count and not self._stays_here:
            frame.payload = self._pickled(frame.items or [], self._pack)
            frame.items = frame.items or None  # large ones are given away
            if self.weigh is not None:
                self.weigh(frame.count, len(frame.payload))
        elif isinstance(frame.payload, Parcel):
            self._prepare(frame, frame.payload)
        elif frame.items is None and (self.outlet.bounded or self.outlet.deals(frame.count)):
            frame.items = unpack_items(self.name, frame)
        self._pass_on(self.outlet.offer(frame))
        return self.outlet.is_clear

    def clear(self) -> Coroutine:
        """Give the rest of a frame to the channels as credit comes."""
        # To wait until a first frame shows how long it takes tells of no fullness.
        self.has_waited = self.outlet.service > 0
        self._gauge.enter(BLOCKED)
        while not self.outlet.is_clear:
            # What has gone to a neighbour in this process, perhaps as an earlier part of the
            # same answer, lets that get on: it is progress.
            moved, self._has_moved = self._has_moved, False
            yield moved
            self._pass_on(self.outlet.advance())
        if self.tape is not None:
            self.tape.waited(self._gauge.since)
        self._gauge.enter(BUSY)

    def pack(self, outputs: list[Any]) -> bytes | None:
        """Outputs as they leave this process; None where they stay in it.

        Raises:
            NotPicklable: one of them can't.
        """
        if self._stays_here or not outputs:
            return None
        return cast("bytes", self._pickled(outputs, dumps))

    def _pickled(
        self, items: list[Any], pack: Callable[[list[Any], Collection[type] | None], Sized]
    ) -> Sized:
        started = perf_counter_ns()
        payload = pack_items(self.name, items, self.shared, pack)
        self._gauge.pickled(perf_counter_ns() - started, len(payload))
        return payload

    def _prepare(self, frame: Frame, parcel: Parcel) -> None:
        """Let a parcel that has come go on: who opens it has no more right to pass it on."""
        if self.outlet.bounded or self._is_durable or self.outlet.deals(frame.count):
            frame.share = len(parcel)
            frame.items, frame.payload = unpack_items(self.name, frame), None
        elif self.outlet.copies:
            frame.payload = parcel.multiplied(self._readers)

    def _pass_on(self, sent: list[tuple[LinkOut, Frame]]) -> None:
        self._has_moved |= bool(sent)
        for leaf, frame in sent:
            is_local = leaf.link in self._local
            if frame.payload is None and frame.count and (self.outlet.copies or not is_local):
                # A piece of a frame that was over the capacity of a pipe.
                frame.payload = self._pickled(frame.items or [], self._pack)
            self.ends[leaf.link].send(_handed_over(given(frame)) if is_local else given(frame))

    def account(self, accounts: Accounts) -> None:
        """Tell which branches of balanced forks the items took."""
        for fork in self.outlet.balances:
            for edge, items in zip(fork.edges, fork.items, strict=True):
                accounts.edges[edge] = accounts.edges.get(edge, 0) + items


def _handed_over(frame: Frame) -> Frame:
    """A frame as it goes to a worker in the same process.

    As bytes where several read it, so that each has its own copy; else as the objects.
    """
    items = frame.items if frame.payload is None else None
    return Frame(
        frame.path,
        items,
        scopes=frame.scopes,
        end=frame.end,
        count=frame.count,
        payload=frame.payload,
    )


def route(way: WayOut, channels: tuple[Channel, ...]) -> Route:
    """The machine of a planned way out."""
    if not isinstance(way, Fan):
        return LinkOut(way, Credit(channels[way].capacity))
    branches = tuple(route(branch, channels) for branch in way.branches)
    if way.kind == "replicated":
        return Replicate(branches, traced=way.traced, in_turn=way.in_turn)
    return Balance(branches, way.edges, in_turn=way.in_turn, slots=way.slots)
