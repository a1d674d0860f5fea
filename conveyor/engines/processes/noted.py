"""What a flight recorder keeps of a batch that has no bytes, since it never left its process.

Only plain values are kept, which needs no code of the user's, and only where that takes next to
nothing of the time.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter, thread_time
from typing import Any

from conveyor.engines.stage import MANY, STRIDE

_PREFIX = b"\x01"
"""The first byte of such a note; neither a pickle nor a parcel begins with it."""

SHARE = 0.01
"""The share of the time that notes may take."""

CREDIT = 2e-3
"""Seconds that they may take at once: at the beginning, and after a pause."""

_PLAIN = (int, float, str, bytes, bool, type(None), tuple, list, dict)


class Noter:
    """Makes notes of batches: of all items, or of some that tell where the others are, or none.

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
        if type(items[0]) not in _PLAIN:
            return None
        now, last = self._clock(), self._last
        self._last, self._credit = now, min(CREDIT, self._credit + SHARE * (now - last))
        if self._credit <= 0:
            return None
        has_all = len(items) < STRIDE or (len(items) < MANY and self._credit > CREDIT / 2)
        kept = (items,) if has_all else _ends(items)
        started, note = self._spent(), None
        with suppress(Exception):  # what is in them is not plain
            note = _PREFIX + marshal.dumps(kept)
        self._credit -= self._spent() - started
        return note


def _ends(items: list[Any]) -> tuple[list[Any], list[Any]]:
    """Of many items, which are noted by the stride while they are processed, those at its ends."""
    last = items[STRIDE - 1 :: STRIDE]
    return items[::STRIDE], last if len(items) % STRIDE == 0 else [*last, items[-1]]


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
    stride = places[0] // STRIDE
    return kept[0][stride], kept[1][stride], min(STRIDE, count - stride * STRIDE)
