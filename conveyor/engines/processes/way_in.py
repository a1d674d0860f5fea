"""How frames come to a worker: the channels that it reads, and the join of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from conveyor.engines.account import Account
from conveyor.engines.processes.accounts import Accounts
from conveyor.engines.processes.large import Parcel, is_parcel
from conveyor.engines.processes.memory import Memory
from conveyor.engines.processes.wire import unpack_items
from conveyor.engines.telling import short
from conveyor.errors import JoinError
from conveyor.flow.batch import Frame
from conveyor.flow.credit import BYTES, FRAMES, Due
from conveyor.flow.join import Interleave, Joiner, Ordered, TwoOutputs, Zip
from conveyor.plan import Channel, WayIn


class Lower(Protocol):
    """The end of a channel that receives."""

    def grant(self, service: float, due: Due) -> None:
        """Give the credit of one frame back, and tell the service time from here on."""

    def close(self) -> None:
        """Receive nothing any more."""


class WayInEnd:
    """A joiner with the channels that it reads, and the frames that are ready.

    A join that matches or reorders gives credit back at once: what it holds is bounded by the
    window, and a join that waits for one branch must not hold up another.

    Args:
        name: the element that reads.
        way: where its frames come from.
        channels: those of the plan.
        works: whether to read a frame is to begin to work on it, and the next read, or
            :meth:`settle`, says that this is done.
    """

    def __init__(
        self, name: str, way: WayIn, channels: tuple[Channel, ...], *, works: bool = True
    ) -> None:
        self.name = name
        self.join = way.join
        self._numbers = {channel: number for number, channel in enumerate(way.channels)}
        self._joiner = joiner(way, channels)
        self._holds = not isinstance(self._joiner, Interleave)
        self.ends: dict[int, Lower] = {}
        self.ready: deque[tuple[Frame, Lower | None, Due]] = deque()
        is_work = works and not self._holds
        self._due: dict[int, Due] = {
            channel: when_due(channels[channel], is_work=is_work) for channel in way.channels
        }
        self._in_work: Lower | None = None
        """Where the frame came from that was taken last, if its credit is due when it is done."""
        self.memory: Memory | None = None
        self.note_load: Callable[[int], None] | None = None
        """Notes that so many items are about to be loaded, and"""
        self.note_loaded: Callable[[], None] | None = None
        """that they have been: where a join needs them, and this is no process of the caller's."""
        self.service = 0.0
        self._loose: set[int] = set()
        """Channels that are open, and have no end for a moment."""

    def attach(self, channel: int, lower: Lower) -> None:
        """Read a channel from now on."""
        self.ends[channel] = lower
        if channel in self._loose:
            self._loose.remove(channel)
        else:
            self._joiner.attach()

    def loosen(self, channel: int) -> None:
        """Give up the end of a channel on which nothing is; another end will take its place."""
        end = self.ends.pop(channel)
        if end is self._in_work:
            self._in_work = None  # the link that takes its place has all its credit
        end.close()
        self._loose.add(channel)

    def resume(self, ends: int) -> None:
        """Go on where so many ends of the stream are done that were not the last."""
        assert isinstance(self._joiner, Interleave)
        self._joiner.resume(ends)

    def receive(self, channel: int, frame: Frame) -> None:
        """Take in a frame that has come by a channel."""
        lower: Lower | None = self.ends[channel]
        if self.memory is not None and is_parcel(frame.payload):
            frame.payload = Parcel.received(self.memory, frame.payload)
        due = self._due[channel]
        if due == "later" and frame.size > BYTES // FRAMES:
            due = "now"
        if lower is not None and (self._holds or frame.end):
            lower.grant(self.service, due)
            lower = None
        if self._joiner.needs_items:
            if self.note_load is not None and frame.count:
                self.note_load(frame.count)
            frame.items = unpack_items(self.name, frame, is_callers=self.note_load is None)
            frame.payload = None
            if self.note_loaded is not None:
                self.note_loaded()
        try:
            ready = self._joiner.put(self._numbers[channel], frame)
        except TwoOutputs as error:
            raise JoinError(self.join, error.branch, short(error.item)) from None
        for one in ready:
            self.ready.append((one, lower, due))

    def take(self) -> Frame:
        """The next frame, and its credit back to where it came from, if it is due already."""
        frame, lower, due = self.ready.popleft()
        if self._in_work is not None:
            self.settle()
        if due == "done":
            self._in_work = lower
        elif lower is not None:
            lower.grant(self.service, due)
        return frame

    def settle(self) -> None:
        """What was taken is done: give the credit back that waited for that."""
        lower, self._in_work = self._in_work, None
        if lower is not None:
            lower.grant(self.service, "done")

    def account(self, accounts: Accounts) -> None:
        """Tell what a zip did, and begin anew."""
        join = self._joiner
        if isinstance(join, Zip):
            accounts.nodes[join.name] = Account(
                join.items_in, join.items_out, filtered=join.filtered, merged=join.merged
            )
            join.reset_account()


def when_due(channel: Channel, *, is_work: bool) -> Due:
    """When the credit of a frame has to go back, where the frame is small.

    Args:
        channel: what it comes by.
        is_work: whether to take it is to begin to work on it.
    """
    if channel.capacity is not None:
        return "now"  # the sender may be waiting for this one
    if channel.is_chosen:
        return "done" if is_work else "now"
    return "later"


def joiner(way: WayIn, channels: tuple[Channel, ...]) -> Joiner:
    """The machine of a planned way in: one row for each way to join."""
    links = [channels[channel].link for channel in way.channels]
    match way.how:
        case "interleave":
            return Interleave()
        case "ordered":
            return Ordered(links, needs_items=way.traced)
        case "zip":
            return Zip(way.join, links, in_turn=way.in_turn)
