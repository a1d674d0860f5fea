"""Who has which place in shared memory, and when it is free again.

A process allots places in its own region only. A place is lent to readers, each by a *ticket*: a
mark that the owner sets, and that whoever holds the ticket takes away when it looks no more. A
ticket is handed on along with what it stands for, so it has one holder at any time, and no mark
is ever written by two at once. A place is free when all its tickets are back.

A place of somebody else, which one was lent, can be lent on to several: then it goes back when
all of those have given it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

PAGE = 4096
"""Places begin and end with pages, in bytes."""


class Lease(NamedTuple):
    """A place that is lent.

    Attributes:
        start: where it begins, in bytes from the begin of the region.
        size: its bytes, whole pages; 0 for a place of somebody else.
        is_fresh: whether some of it may have no memory yet.
        tickets: one for each reader.
        origin: for a place of somebody else, the ticket by which it was lent to this process.
    """

    start: int
    size: int
    is_fresh: bool
    tickets: tuple[int, ...]
    origin: int | None = None


class Arena:
    """The places and the tickets of one process.

    Free memory is of two kinds: what was written before, which is quick to write again, and
    what has no memory behind it, which is slow to write, and costs nothing until then.

    Args:
        size: the bytes of the region.
        tickets: how many tickets there are.

    Attributes:
        used: the bytes that have memory behind them, lent or not.
    """

    def __init__(self, size: int, tickets: int) -> None:
        self.used = 0
        self._empty: dict[int, int] = {0: size - size % PAGE}
        self._warm: dict[int, int] = {}
        self._tickets = list(range(tickets))[::-1]
        self._leases: list[Lease] = []

    def allot(self, size: int, readers: int, room: int = 0) -> Lease | None:
        """Lend a place to ``readers``.

        Args:
            size: the bytes that are needed.
            readers: how many tickets.
            room: the bytes by which :attr:`used` may grow.

        Returns:
            The lease, or None where there is no place or no ticket.
        """
        size += -size % PAGE
        if readers > len(self._tickets):
            return None
        start, is_fresh = _cut_out(self._warm, size), False
        if start is None and size <= room:
            start, is_fresh = _cut_out(self._empty, size), True
            self.used += size if start is not None else 0
        if start is None:
            return None
        return self._lent(Lease(start, size, is_fresh, self._take(readers)))

    def lend_on(self, origin: int, readers: int) -> Lease | None:
        """Lend a place of somebody else, held by the ticket ``origin``, to several readers."""
        if readers > len(self._tickets):
            return None
        return self._lent(Lease(0, 0, is_fresh=False, tickets=self._take(readers), origin=origin))

    def settle(self, is_back: Callable[[int], bool]) -> list[Lease]:
        """Take back all places whose tickets are back.

        Returns:
            The leases that have ended.
        """
        ended = [lease for lease in self._leases if all(map(is_back, lease.tickets))]
        if ended:
            gone = set(ended)
            self._leases = [lease for lease in self._leases if lease not in gone]
        for lease in ended:
            self._tickets += lease.tickets
            if lease.size:
                _put_back(self._warm, lease.start, lease.size)
        return ended

    def spare(self) -> list[tuple[int, int]]:
        """Count what is free as empty from now on.

        Returns:
            Where to give memory back: places and their bytes.
        """
        spare = list(self._warm.items())
        self._warm.clear()
        for start, size in spare:
            _put_back(self._empty, start, size)
            self.used -= size
        return spare

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lent, and no memory can be given back."""
        return not self._leases and not self.used

    def _take(self, readers: int) -> tuple[int, ...]:
        return tuple(self._tickets.pop() for _ in range(readers))

    def _lent(self, lease: Lease) -> Lease:
        self._leases.append(lease)
        return lease


def _cut_out(free: dict[int, int], size: int) -> int | None:
    """Take ``size`` bytes from the tightest fit, the lowest where several fit alike."""
    fits = [(length, start) for start, length in free.items() if length >= size]
    if not fits:
        return None
    length, start = min(fits)
    del free[start]
    if length > size:
        free[start + size] = length - size
    return start


def _put_back(free: dict[int, int], start: int, size: int) -> None:
    """Add a place, in one piece with its neighbours."""
    size += free.pop(start + size, 0)
    for before, length in free.items():
        if before + length == start:
            free[before] = length + size
            return
    free[start] = size
