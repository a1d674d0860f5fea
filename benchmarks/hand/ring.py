"""hand-shm: payloads copied once into a shared ring, their places over the pipes, read in place."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.hand import raw

if TYPE_CHECKING:
    import numpy as np

SLOTS = 6
PLACE = struct.Struct("=id")
"""The slot, and what a stage has to say of it."""


class Ring:
    """Slots for arrays, which forked processes share."""

    def __init__(self, length: int) -> None:
        import numpy as np

        memory = mmap.mmap(-1, SLOTS * length * 8)
        self.slots = np.frombuffer(memory, dtype=np.float64).reshape(SLOTS, length)


@contextmanager
def chain(
    ring: Ring, *stages: Callable[[np.ndarray], float]
) -> Iterator[Callable[[Iterator[np.ndarray]], Iterator[tuple[int, float]]]]:
    """Fork a process for each stage; give what sends arrays through, and gives slots back.

    Args:
        ring: where the arrays are put.
        stages: each looks at an array in place, and tells a number.
    """
    with raw.chain(*(_stage(ring, look) for look in stages)) as ends:
        yield lambda arrays: _through(ring, ends, arrays)


def _stage(ring: Ring, look: Callable[[np.ndarray], float]) -> Callable[[int, int], None]:
    def stage(read: int, write: int) -> None:
        while place := os.read(read, PLACE.size):
            slot, _ = PLACE.unpack(place)
            os.write(write, PLACE.pack(slot, look(ring.slots[slot])))

    return stage


def _through(
    ring: Ring, ends: raw.Ends, arrays: Iterator[np.ndarray]
) -> Iterator[tuple[int, float]]:
    free = list(range(SLOTS))
    for array in arrays:
        if not free:
            slot, said = PLACE.unpack(os.read(ends.read, PLACE.size))
            yield slot, said
            free.append(slot)
        slot = free.pop()
        ring.slots[slot] = array
        os.write(ends.write, PLACE.pack(slot, 0.0))
    for _ in range(SLOTS - len(free)):
        yield PLACE.unpack(os.read(ends.read, PLACE.size))
