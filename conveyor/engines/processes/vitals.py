"""What the system tells of a process: its state, and the CPU time that it has taken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

STOPPED = "stopped"
ENDED = "ended"

_CONDITIONS = {
    "D": "waiting for a device",
    "T": STOPPED,
    "t": STOPPED,
    "Z": ENDED,
    "X": ENDED,
}
"""The states of a process that are worth a word."""


def condition(pid: int) -> str | None:
    """What there is to say of a process, where that is more than that it lives."""
    return _CONDITIONS.get(_state(pid))


def is_running(pid: int) -> bool:
    """Whether a process has a core, or waits for one, or for a disk, and gets on without us."""
    return _state(pid) in ("R", "D")


def _state(pid: int) -> str:
    """The letter of the state of a process."""
    try:
        # Its name, in brackets, may have any characters.
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return "X"


def cpu_seconds(pid: int) -> float | None:
    """For how many seconds a process has had a core up to now; None where it has ended."""
    # What clock_getcpuclockid() makes of a process id.
    clock = (~pid << 3) | 2
    try:
        return time.clock_gettime(clock)
    except OSError:
        return None


def cpu_seconds_with_children(pid: int) -> float:
    """The same, with that of the processes that it has started, where the kernel tells these."""
    return sum(filter(None, map(cpu_seconds, (pid, *_descendants(pid)))))


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def umask() -> int | None:
    """What files that this process makes may not be; None where the system does not tell.

    To set it and have it back is the other way, and other threads make files meanwhile.
    """
    try:
        status = Path("/proc/self/status").read_bytes()
    except TimeoutError:
        raise
    except OSError:
        return None
    told = status.partition(b"\nUmask:")[2].split(maxsplit=1)
    return int(told[0], 8) if told else None


def _children(pid: int) -> list[int]:
    """The processes that one has started; none where it has just ended, or nobody tells."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found
