"""Whether the kernel has killed a worker since it ran out of memory, by what it counts."""

from __future__ import annotations

from pathlib import Path

from conveyor.engines.processes.groups import groups
from conveyor.flow.kills import Kills

_MACHINE = Path("/proc/vmstat")

_IN_GROUP = ("memory.events.local", "memory.events", "memory.oom_control")
"""Where the count of a control group is: of version 2, of an older one of that, of version 1."""


class OomWatch:
    """Knows how many deaths for want of memory were counted when workers started."""

    def __init__(self) -> None:
        self._kills = Kills()

    def started(self, pid: int) -> Path:
        """A worker process has been started; return where such a death of it would be counted."""
        counter = _counter(pid)
        self._kills.begin(str(counter), _count(counter))
        return counter

    def has_killed(self, counter: Path) -> bool:
        """Whether a worker that was just seen to be dead, by SIGKILL, was killed by the kernel.

        Asked once for each, and only where nobody here has sent the signal.

        Args:
            counter: what :meth:`started` gave for it.
        """
        return self._kills.explain(str(counter), _count(counter))


def _counter(pid: int) -> Path:
    """What counts for a process: its own group, or the nearest around it that does, or all."""
    for group in groups(pid, "memory"):
        for name in _IN_GROUP:
            if (group / name).exists():
                return group / name
    return _MACHINE


def _count(counter: Path) -> int | None:
    """How many processes have been killed; None where that can't be read."""
    try:
        lines = counter.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
