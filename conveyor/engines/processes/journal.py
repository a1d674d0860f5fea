"""The record of a worker that may be started again, in anonymous memory that outlives it."""

from __future__ import annotations

import mmap
import os
import struct

from conveyor.engines.processes.log import read_whole, write_whole

_WORDS = struct.Struct("<QQ")
"""Which record is in force, and its bytes; how often one was put in force."""

_NEAR, _NEAR_SIZE = (4 << 10, 34 << 10), 30 << 10
_FAR = (1 << 30, 1 << 40)
"""Where the two records are: those that are small in pages that stay mapped."""


class Journal:
    """Where a worker keeps its record: the new one is written beside the old, then put in force.

    Args:
        fd: the descriptor of memory that was made for it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._near = mmap.mmap(fd, 64 << 10)
        word, commits = _words(fd)
        self._slot, self._size, self._commits = word & 1, word >> 1, commits

    def load(self) -> bytes | None:
        """The record in force; None where there never was one."""
        if self._size <= _NEAR_SIZE:
            start = _NEAR[self._slot]
            return self._near[start : start + self._size] or None
        return bytes(read_whole(self._fd, self._size, _FAR[self._slot]))

    def save(self, record: bytes) -> None:
        """Put a new record in force, at once."""
        self._slot, self._size = 1 - self._slot, len(record)
        if self._size <= _NEAR_SIZE:
            start = _NEAR[self._slot]
            self._near[start : start + self._size] = record
        else:
            write_whole(self._fd, record, _FAR[self._slot])
        self._commits += 1
        os.pwrite(self._fd, _WORDS.pack(self._size << 1 | self._slot, self._commits), 0)


def commits_in(fd: int) -> int:
    """How often something was saved in a journal."""
    return _words(fd)[1]


def _words(fd: int) -> tuple[int, int]:
    word, commits = _WORDS.unpack(os.pread(fd, _WORDS.size, 0))
    return int(word), int(commits)
