"""What a worker must not forget when it dies: how far it is, on all its links at once.

A worker that may be started again *commits*: what it gave for some items becomes visible to those
behind it in the same moment in which these items are done. What it did since the last commit is as
if it had never been, and is done again by the worker that takes its place. So nothing is lost,
nothing comes out twice, and no other worker has to know that one has died.

That needs memory which outlives the worker, for what is on its links, and for this record. A
position is the number of bytes that were ever written to a link.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass, field
from typing import Any

DEADLY = 2
"""An item that was in work in so many deaths of its worker is not tried again."""


@dataclass(slots=True)
class Current:
    """A frame that is in work.

    Attributes:
        taken: how many of its items are done.
        members: how many frames have been given for them.
        is_finished: whether what ``finish`` gives has been given, too.
    """

    taken: int = 0
    members: int = 0
    is_finished: bool = False


@dataclass(slots=True)
class Progress:
    """How far a worker is.

    Attributes:
        done: for each link into it, the position up to which all is done.
        sent: for each link out of it, the position up to which all is visible.
        ends: how many ends of the stream are done that the join has not given on yet as one.
        current: for each link, the next frame from it, if some of that is done.
        is_running: whether a run has begun that has not ended.
        turns: the state of the forks in its way out.
        account: what was counted so far.
        state: what ``snapshot`` gave, pickled.
        reports: how many runs have ended.
        report: what was counted in the last of those, pickled.
    """

    done: dict[int, int] = field(default_factory=dict[int, int])
    sent: dict[int, int] = field(default_factory=dict[int, int])
    ends: int = 0
    current: dict[int, Current] = field(default_factory=dict[int, Current])
    is_running: bool = False
    turns: Any = None
    account: Any = None
    state: bytes | None = None
    reports: int = 0
    report: bytes = b""

    def resume(self, link: int) -> Current:
        """What is done of the next frame from a link."""
        current = self.current.get(link)
        if current is None:
            current = self.current[link] = Current()
        return current

    def complete(self, link: int, position: int, *, is_end: bool, ends_run: bool) -> None:
        """That frame is done.

        Args:
            link: the link it came by.
            position: that behind it, on the link.
            is_end: whether it was an end of the stream.
            ends_run: whether it was the last one.
        """
        self.done[link] = position
        self.current.pop(link, None)
        self.ends = 0 if ends_run else self.ends + is_end

    def packed(self) -> bytes:
        """The record as bytes."""
        current = {
            link: (one.taken, one.members, one.is_finished) for link, one in self.current.items()
        }
        return marshal.dumps(
            (
                self.done,
                self.sent,
                self.ends,
                current,
                self.is_running,
                self.turns,
                self.account,
                self.state,
                self.reports,
                self.report,
            )
        )

    @staticmethod
    def unpacked(data: bytes) -> Progress:
        """What :meth:`packed` made."""
        done, sent, ends, current, *rest = marshal.loads(data)
        frames = {link: Current(*one) for link, one in current.items()}
        return Progress(done, sent, ends, frames, *rest)


Entry = tuple[int, int]
"""A frame on its way: the link that it came by, and its position there."""


class Suspects:
    """Finds the item that kills its worker.

    After a death the frame that was in work is done again item by item, and each is committed.
    So the next death tells which item it was.
    """

    def __init__(self) -> None:
        self.entry: Entry | None = None
        self._deaths: list[range] = []

    def add(self, entry: Entry, items: range, *, attempts: int) -> int | None:
        """A worker died with one of these items of a frame in work.

        Args:
            entry: the frame.
            items: the indexes.
            attempts: in how many deaths an item may be.

        Returns:
            The index of an item that is not to be tried again, where this is now known.
        """
        if entry != self.entry:
            self.entry = entry
            self._deaths = []
        self._deaths.append(items)
        if len(items) != 1 or self.deaths(items[0]) < attempts:
            return None
        return items[0]

    def deaths(self, item: int) -> int:
        """How often a worker died while an item was in work, or may have been."""
        return sum(item in items for items in self._deaths)
