"""What a flight recorder keeps of a batch that has no bytes, since it never left its process.

Only plain values are kept, which needs no code of the user's, and only where that takes next to
nothing of the time.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter, thread_time
from typing import Any, cast

from conveyor.engines.stage import MANY

_PREFIX = b"\x01"
"""The first byte of such a note; neither a pickle nor a parcel begins with it."""

SHARE = 0.005
"""The share of the time that the notes of a process may take."""

CREDIT = 1e-3
"""Seconds that they may take at once: at the beginning, and after a pause."""

LONGEST, WIDEST, DEEPEST = 4096, 64, 3
"""Of texts the characters, of containers the parts and the levels, beyond which an item counts as
large."""

_NUMBERS = (int, float, bool, type(None))


class Noter:
    """Makes notes of batches: of all items, or where that is too much, of the first and the last.

    Args:
        clock: gives the time, in seconds.
        spent: gives the CPU time that was taken: to wait for a core is no cost of ours.
    """

    def __init__(
        self,
        clock: Callable[[], float] = perf_counter,
        spent: Callable[[], float] = thread_time,
    ) -> None:
        self._clock, self._spent = clock, spent
        self._credit, self._last = CREDIT, clock()

    def note(self, items: list[Any]) -> bytes | None:
        """What to keep of a batch of at least one item; None for nothing."""
        now, last = self._clock(), self._last
        self._last, self._credit = now, min(CREDIT, self._credit + SHARE * (now - last))
        # One stands for all: a large one would be copied, in vain.
        if self._credit <= 0 or not _is_small(items[0]):
            return None
        has_all = len(items) < MANY and self._credit > CREDIT / 2
        kept = (items,) if has_all else (items[:1], items[-1:])
        started, note = self._spent(), None
        with suppress(Exception):  # what is in them is not plain
            note = _PREFIX + marshal.dumps(kept)
        self._credit -= self._spent() - started
        return note


def _is_small(item: Any, depth: int = DEEPEST) -> bool:
    """Whether an item is a plain value, and not large."""
    kind = cast("type[object]", type(item))
    if kind in _NUMBERS:
        return True
    if kind in (str, bytes):
        return len(item) <= LONGEST
    if kind not in (tuple, list, dict) or len(item) > WIDEST or not depth:
        return False
    return all(_is_small(part, depth - 1) for part in (item.values() if kind is dict else item))


def is_note(data: bytes) -> bool:
    """Whether what a recorder has kept is such a note."""
    return data.startswith(_PREFIX)


def around(note: bytes, places: Sequence[int], count: int) -> tuple[Any, Any, int]:
    """The first and the last of the items that it may be, and how many these are.

    Args:
        note: what was kept of their batch.
        places: the indexes of those that it may be.
        count: the items of the batch.
    """
    kept: tuple[list[Any], ...] = marshal.loads(note[1:])
    if len(kept) == 1:
        return kept[0][places[0]], kept[0][places[-1]], len(places)
    return kept[0][0], kept[1][0], count
