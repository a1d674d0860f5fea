"""What a test must not leave behind: processes, descriptors, threads, shared memory, handlers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from conveyor import Feed, Processor

PATIENCE = 5.0
"""Seconds that what is ending has to end; a real leak stays longer."""


@dataclass(frozen=True)
class Snapshot:
    """What this process holds."""

    workers: frozenset[int]
    descriptors: Counter[str]
    threads: frozenset[str]
    shared: frozenset[str]
    handlers: tuple[object, ...]

    @staticmethod
    def take() -> Snapshot:
        return Snapshot(
            frozenset(_workers()),
            _descriptors(),
            frozenset(thread.name for thread in threading.enumerate()),
            frozenset(path.name for path in Path("/dev/shm").iterdir()),
            tuple(signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)),
        )

    def leaked_since(self, before: Snapshot) -> list[str]:
        """What there is now and was not before, in words."""
        found = [f"process {pid}" for pid in self.workers - before.workers]
        found += [f"{n} x {kind}" for kind, n in (self.descriptors - before.descriptors).items()]
        found += [f"thread {name}" for name in self.threads - before.threads]
        found += [f"/dev/shm/{name}" for name in self.shared - before.shared]
        if self.handlers != before.handlers:
            found.append("a signal handler")
        return found


def _workers() -> list[int]:
    """All processes below this one, but the fork server and the resource tracker."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
            is_server = child.ppid() == os.getpid() and "multiprocessing" in command
            if not is_server:
                found.append(child.pid)
        except psutil.NoSuchProcess:
            pass
    return found


def _descriptors() -> Counter[str]:
    kinds: Counter[str] = Counter()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        kinds[target if target.startswith("/") else target.split(":", maxsplit=1)[0]] += 1
    return kinds


def leaks(before: Snapshot) -> list[str]:
    """What has been left since ``before``, once what is ending had its time to end."""
    until = time.monotonic() + PATIENCE
    while (found := Snapshot.take().leaked_since(before)) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_of(pids: list[int], patience: float = PATIENCE) -> list[int]:
    """Those of ``pids`` that still run when they had their time to end."""
    until = time.monotonic() + patience
    while (alive := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < until:
        time.sleep(0.01)
    return alive


def read_pids(path: Path) -> list[int]:
    """The process ids that workers wrote to a file, one to a line."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture(scope="session", autouse=True)
def warm_engine() -> None:
    """The fork server is there before any test counts what it holds."""
    assert (Feed() >> Processor(abs)).run([-1]) == [1]


@pytest.fixture(autouse=True)
def nothing_left(warm_engine: None) -> Iterator[None]:
    """Whatever a test does, it leaves no process, descriptor, thread or shared memory."""
    before = Snapshot.take()
    yield
    left = leaks(before)
    assert not left, ", ".join(left)
