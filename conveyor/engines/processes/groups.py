"""The control groups that a process is in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_PROCESSES = Path("/proc")


def groups(process: int | str, controller: str) -> Iterator[Path]:
    """The folders of the groups around a process, its own first, where a controller may count.

    Args:
        process: its id, or ``"self"``.
        controller: such as ``"cpu"``; its folder is another one in version 1, where each has one.
    """
    try:
        own = (_PROCESSES / str(process) / "cgroup").read_text().splitlines()
    except OSError:
        own = []
    for line in own:
        _, controllers, name = line.split(":", 2)
        root = _GROUPS if not controllers else _GROUPS / controllers
        if not controllers or controller in controllers.split(","):
            # In a container the name may be that of the host, and what is mounted the group itself.
            for group in (PurePosixPath(name), *PurePosixPath(name).parents):
                yield root / str(group).lstrip("/")
