"""File descriptors that are our own."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable
from typing import Any


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def identity(fd: int) -> tuple[int, int]:
    """What a descriptor refers to: a number may be given to something else meanwhile."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def read_now(read: Callable[..., bytes], *arguments: Any) -> bytes | None:
    """What can be read now: None where that is nothing, b"" where the other side is gone."""
    try:
        return read(*arguments)
    except BlockingIOError:
        return None
    except TimeoutError:
        raise
    except OSError:
        return b""


def fill_standard_streams() -> None:
    """Where standard descriptors are closed, let nothing of ours get their numbers."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def is_readable(fd: int, seconds: float | None) -> bool:
    """Whether something can be read, or a process has ended (of a pidfd); waits up to so long."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0, seconds * 1000)))
