"""File descriptors that are our own."""

from __future__ import annotations

import os
from collections.abc import Iterable


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def fill_standard_streams() -> None:
    """Where standard descriptors are closed, let nothing of ours get their numbers."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
