"""The memory of a tree of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

INTERVAL = 0.2
"""Seconds between two looks."""


class Peak:
    """The most memory that was seen, in MB of PSS: shared pages count in parts."""

    megabytes = 0.0

    def look(self) -> None:
        """Look once."""
        self.megabytes = max(self.megabytes, sum(map(_pss, [os.getpid(), *_descendants()])) / 1e6)


@contextmanager
def watched() -> Iterator[Peak]:
    """Look at this process and all below it, now and then, as long as the block takes."""
    peak, done = Peak(), Event()

    def watch() -> None:
        while not done.wait(INTERVAL):
            peak.look()

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        peak.look()
        done.set()
        watcher.join()


def _descendants() -> Iterator[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)] = int(after_name[1])
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    yield from below - {os.getpid()}


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
