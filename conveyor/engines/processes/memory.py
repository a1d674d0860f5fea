"""Large payloads: they go through anonymous shared memory, and pipes carry only their place.

One memfd serves a pipeline. Each process allots places in a region of its own, see
:mod:`conveyor.flow.arena`, and all read what they are lent. The file has no name, and is large
only in numbers: there is memory behind what was written. What finds no place goes along in the
pipe, so nothing here can fail or wait.

A place with one reader is mapped shared: the reader may change it, and pass it on as it is where
nothing in its process looks at it any more. A place with several is mapped privately, so that
what one changes is its own.
"""

from __future__ import annotations

import os
import struct
import sys
import weakref
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pickle import PickleBuffer
from typing import Any, NamedTuple

from conveyor.engines.processes.mapping import Mapping, address_of, punch_hole, viewed
from conveyor.flow.arena import PAGE, Arena, Lease

IDLE_SECONDS = 1.0
"""Memory of a worker that had nothing to do for so long is given back."""

KEPT = 64 << 20
"""Bytes that the caller's process keeps between runs, so that a warm run finds memory."""

_REGIONS = 512
_TICKETS = PAGE
_ALIGNED = 64 << 10
"""Regions begin with a page, however large the machine's pages are."""

_CONTROL = -(-(PAGE + _REGIONS * _TICKETS) // _ALIGNED) * _ALIGNED
"""Bytes before the regions: what each process uses, and then the marks of its tickets."""

_USED = struct.Struct("<Q")
_ALL_USED = struct.Struct(f"<{_REGIONS}Q")

_HOLDERS = 4
"""A process looks at one part in so many of the arena; what it gets beyond that it copies.

So what users keep, results above all, does not fill the arena. To keep it there takes half the
time of a copy. A place alone may always be looked at, however large.
"""

_STEP = 1 << 20
"""Bytes written at once: a write to a file keeps other writes to it waiting."""

Part = bytes | bytearray | memoryview


# -- the file --


def bound() -> int:
    """The most bytes that the arena of a pipeline may take: a quarter of the memory."""
    from conveyor.engines.processes.groups import groups  # slow, and workers do without

    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for group in groups("self", "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # it says "max" where there is no limit
                limits.append(int((group / name).read_text()))
    return min(limits) // 4


def create_arena() -> int | None:
    """A descriptor of a new arena, or None where there can be none."""
    if sys.maxsize < 1 << 32:
        return None  # too few addresses
    try:
        fd = os.memfd_create("conveyor-arena", os.MFD_CLOEXEC)
    except (OSError, AttributeError):
        return None
    size = bound()
    try:
        os.ftruncate(fd, _CONTROL + _REGIONS * (size - size % _ALIGNED))
    except OSError:
        os.close(fd)
        return None
    return fd


# -- places --


class Place(NamedTuple):
    """Bytes in the arena, with a ticket for each reader that they may still be given to.

    A ticket is the offset of its mark in the file.
    """

    start: int
    size: int
    tickets: list[int]


class _Look:
    """A place that this process was lent, while something looks at it."""

    __slots__ = ("exported", "is_kept", "mapping", "private", "size", "start", "ticket")

    def __init__(self, place: Place, mapping: Mapping, *, private: bool) -> None:
        self.start = place.start
        self.size = place.size
        self.ticket = place.tickets.pop()
        self.mapping: Mapping | None = mapping
        self.private = private
        self.is_kept = False
        """Whether it does not go back yet, although nothing may look at it."""
        self.exported: weakref.ref[Any]


class Memory:
    """The arena as one process sees it.

    Args:
        fd: the descriptor that :func:`create_arena` gave.
        number: the number of the region in which this process allots places.
        lends_on: whether it lends places of others on; not where it may end before others do,
            since it would have to give these back.
    """

    def __init__(self, fd: int, number: int, *, lends_on: bool = True) -> None:
        self._fd = fd
        self._lends_on = lends_on
        self._pid = os.getpid()
        self._number = number
        self._size = (os.fstat(fd).st_size - _CONTROL) // _REGIONS
        self._begin = _CONTROL + number * self._size
        self._marks = PAGE + number * _TICKETS
        self._arena = Arena(self._size, _TICKETS if self._is_ready() else 0)
        self._mappings: dict[int, Mapping] = {}
        self._looks: dict[int, _Look] = {}
        self._held = 0
        self._is_closed = False

    def _is_ready(self) -> bool:
        """See to it that there is memory for what is always needed."""
        if self._number >= _REGIONS:
            return False
        try:
            os.pwrite(self._fd, bytes(_TICKETS), self._marks)
            if any(os.pread(self._fd, _USED.size, self._number * _USED.size)):
                # Somebody had it before, and had lent some of it when it left.
                punch_hole(self._fd, self._begin, self._size)
            self._tell_used(0)
        except OSError:
            return False
        return True

    def free_region(self, taken: Collection[int | None]) -> int:
        """The number of a region that nobody has, and of which nothing is lent any more."""
        free = (number for number in range(_REGIONS) if number not in (self._number, *taken))
        marks = ((number, PAGE + number * _TICKETS) for number in free)
        return next((n for n, at in marks if not any(os.pread(self._fd, _TICKETS, at))), _REGIONS)

    def handle(self) -> int:
        """A descriptor of the arena, for another process."""
        return os.dup(self._fd)

    # -- giving --

    def placed(self, pieces: Sequence[Part], readers: int) -> Place | bytearray:
        """Copy what belongs together to a place for ``readers``; give it back if there is none."""
        size = sum(map(len, pieces))
        lease = self._allotted(size, readers)
        if lease is not None:
            place = Place(self._begin + lease.start, size, self._marked(lease))
            try:
                self._write(place.start, pieces, is_fresh=lease.is_fresh)
                return place
            except TimeoutError:
                raise
            except OSError:  # the machine has no memory left
                for ticket in place.tickets:
                    self.back(ticket)
        return bytearray().join(pieces)

    def placed_buffers(
        self, buffers: list[PickleBuffer], readers: int, items: list[Any] | None
    ) -> list[Place | bytearray]:
        """Put buffers where ``readers`` can see them; pass on what this process was lent.

        Args:
            buffers: the buffers.
            readers: how many there will be.
            items: what they belong to, where nobody needs that here any more. With the buffers
                it is emptied, to find out whether anything else looks at them.
        """
        raws = [buffer.raw() for buffer in buffers]
        found = [self._found(raw) for raw in raws]
        parts = [
            self.placed([raw], readers) if at is None else bytearray()
            for raw, at in zip(raws, found, strict=True)
        ]
        if any(found):
            for referring in (raws, buffers, items):
                if referring is not None:
                    referring.clear()
            for index, at in enumerate(found):
                if at is not None:
                    parts[index] = self._passed_on(*at, readers)
            for at in found:
                if at is not None:
                    self._let_go(at[0])
        return parts

    def _allotted(self, size: int, readers: int) -> Lease | None:
        arena = self._arena
        lease = arena.allot(size, readers)
        if lease is None:
            lease = arena.allot(size, readers, self._room())
            if lease is None and arena.used:
                self._give_back()
                lease = arena.allot(size, readers, self._room())
            self._tell_used(arena.used)
        return lease

    def _room(self) -> int:
        used: tuple[int, ...] = _ALL_USED.unpack(os.pread(self._fd, _ALL_USED.size, 0))
        return self._size - sum(used)

    def _tell_used(self, used: int) -> None:
        if self._number < _REGIONS:  # what lies behind their words are tickets
            os.pwrite(self._fd, _USED.pack(used), self._number * _USED.size)

    def _marked(self, lease: Lease) -> list[int]:
        tickets = [self._marks + ticket for ticket in lease.tickets]
        for ticket in tickets:
            os.pwrite(self._fd, b"\1", ticket)
        return tickets

    def _write(self, start: int, pieces: Sequence[Part], *, is_fresh: bool) -> None:
        """Write to a place.

        Memory that is there is quickest written in place. Fresh memory is got twice as fast by
        writing to the file; and where there is none, that is an error, and not the end.
        """
        if not is_fresh and (mapping := self._mapping(start)) is not None:
            start -= mapping.start
            for piece in pieces:
                mapping.view[start : start + len(piece)] = piece
                start += len(piece)
            return
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                count = os.pwrite(self._fd, rest[:_STEP], start)
                rest, start = rest[count:], start + count

    def _passed_on(self, look: _Look, start: int, size: int, readers: int) -> Place | bytearray:
        """Pass on what this process was lent, if nothing else here looks at it; else copy it."""
        assert look.mapping is not None
        if look.exported() is None and look.ticket and size * 2 > look.size:
            ticket, look.ticket = look.ticket, 0
            return self.lent_on(Place(start, size, [ticket]), readers)
        at = start - look.mapping.start
        return self.placed([look.mapping.view[at : at + size]], readers)

    def lent_on(self, place: Place, readers: int) -> Place | bytearray:
        """A place that this process was lent, for others."""
        if readers == 1:
            return place
        lease = self._arena.lend_on(place.tickets[0], readers) if self._lends_on else None
        if lease is None:
            copy = self.placed([self.copied(place)], readers)
            self.back(place.tickets[0])
            return copy
        return place._replace(tickets=self._marked(lease))

    def back(self, ticket: int) -> None:
        """Give a ticket back. Called at any time, in any thread."""
        if not self._is_closed and os.getpid() == self._pid:
            os.pwrite(self._fd, b"\0", ticket)

    def settle(self) -> None:
        """Find out what is back."""
        marks = os.pread(self._fd, _TICKETS, self._marks)
        for lease in self._arena.settle(lambda ticket: not marks[ticket]):
            if lease.origin is not None:
                self.back(lease.origin)

    # -- receiving --

    def looked(self, place: Place, *, private: bool) -> Part:
        """What is at a place. When nothing looks at that any more, the place goes back."""
        mapping = None
        if not self._held or self._held + place.size <= self._size // _HOLDERS:
            mapping = self._privately(place) if private else self._mapping(place.start)
        if mapping is None:
            copy = self.copied(place)
            self.back(place.tickets.pop())
            return copy
        exported = mapping.exported(place.start, place.size)
        look = _Look(place, mapping, private=private)
        look.exported = weakref.ref(exported, partial(self._gone, look))
        self._looks[id(look)] = look
        self._held += place.size
        return viewed(exported)

    def copied(self, place: Place) -> bytearray:
        """What is at a place, in memory of this process."""
        copy = bytearray(place.size)
        rest, start = memoryview(copy), place.start
        while rest:
            count = os.preadv(self._fd, [rest], start)
            rest, start = rest[count:], start + count
        return copy

    def _mapping(self, start: int) -> Mapping | None:
        """All of the region where a place is; mapped once, since that is what takes time."""
        begin = start - (start - _CONTROL) % self._size
        if begin not in self._mappings:
            mapping = self._mapped(begin, self._size, private=False)
            if mapping is None:
                return None
            self._mappings[begin] = mapping
        return self._mappings[begin]

    def _privately(self, place: Place) -> Mapping | None:
        begin = place.start - place.start % _ALIGNED
        size = place.start + place.size - begin
        return self._mapped(begin, size, private=True)

    def _mapped(self, begin: int, size: int, *, private: bool) -> Mapping | None:
        try:
            return Mapping(self._fd, begin, size, private=private)
        except TimeoutError:
            raise
        except (OSError, ImportError):  # to import late fails where no descriptor is left
            return None

    def _found(self, raw: memoryview) -> tuple[_Look, int, int] | None:
        """Where a buffer is, if it is in a place that this process alone was lent.

        The place is kept until it is let go.
        """
        if not self._looks or raw.readonly:
            return None
        address = address_of(raw)
        for mapping in self._mappings.values():
            start = mapping.place(address)
            look = self._look_at(start) if start is not None else None
            if start is not None and look is not None:
                look.is_kept = True
                return look, start, len(raw)
        return None

    def _look_at(self, start: int) -> _Look | None:
        for look in list(self._looks.values()):
            if not look.private and look.start <= start < look.start + look.size:
                return look
        return None

    def _gone(self, look: _Look, _: object) -> None:
        """Nothing looks at a place any more. Called at any time, in any thread."""
        if os.getpid() != self._pid:
            return  # a forked copy of this process, which may still look itself
        self._held -= look.size
        if not look.is_kept:
            self._let_go(look)

    def _let_go(self, look: _Look) -> None:
        """Give a place back once nothing looks at it."""
        look.is_kept = False
        if look.exported() is None and self._looks.pop(id(look), None) is not None:
            mapping, look.mapping = look.mapping, None
            if look.ticket:
                self.back(look.ticket)
            if self._is_closed and mapping is not None and not look.private:
                mapping.remove(look.start, look.size)

    # -- giving memory back --

    @property
    def patience(self) -> float | None:
        """Seconds after which an idle process should :meth:`trim`; None where it need not."""
        return None if self._arena.is_idle else IDLE_SECONDS

    def trim(self, most: int = 0) -> None:
        """Give back the memory that is not in use, if this process uses more than ``most``."""
        if self._arena.used <= most:
            return
        self.settle()
        self._give_back()
        self._tell_used(self._arena.used)

    def _give_back(self) -> None:
        for start, size in self._arena.spare():
            punch_hole(self._fd, self._begin + start, size)

    def leave(self) -> None:
        """Give back all that this process was lent, and what it has not lent: it ends now."""
        for look in list(self._looks.values()):
            if look.ticket:
                self.back(look.ticket)
        self._looks.clear()
        self.trim()

    def close(self) -> None:
        """Give back all but what this process still looks at."""
        self._is_closed = True
        looks = sorted((look.start, look.size) for look in list(self._looks.values()))
        end = _CONTROL + _REGIONS * self._size
        at = 0
        for start, size in [*looks, (end, 0)] if looks else ():
            punch_hole(self._fd, at, start - at)
            at = start + size
        self._mappings.clear()
        os.close(self._fd)
