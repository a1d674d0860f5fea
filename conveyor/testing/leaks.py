"""What a test must not leave behind: processes, descriptors, threads, shared memory, handlers."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from conveyor.engines.processes.fork_server import kept_descriptors

PATIENCE = 5.0
"""Seconds that what is ending has to end; a real leak stays longer."""

_PAUSE = 0.01
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
_SHARED = Path("/dev/shm")


@dataclass(frozen=True)
class Snapshot:
    """What this process holds.

    Attributes:
        processes: those below this one, by their ids, each in words.
        descriptors: how many there are of each kind, or of each file.
        threads: the ids of those of Python, with their names.
        shared: the names of shared memory and semaphores in ``/dev/shm``, whoever made them.
        handlers: those of the signals that end processes or tell of their end.
    """

    processes: dict[int, str]
    descriptors: Counter[str]
    threads: dict[int, str]
    shared: frozenset[str]
    handlers: tuple[object, ...]

    @staticmethod
    def take() -> Snapshot:
        """What it holds now."""
        return Snapshot(
            dict(_processes()),
            _descriptors(),
            {thread.ident or 0: thread.name for thread in threading.enumerate()},
            frozenset(_shared()),
            tuple(signal.getsignal(number) for number in _SIGNALS),
        )

    def leaked_since(self, before: Snapshot) -> list[str]:
        """What there is now and was not before, in words."""
        found = [text for pid, text in self.processes.items() if pid not in before.processes]
        found += [f"{n} x {kind}" for kind, n in (self.descriptors - before.descriptors).items()]
        found += [
            f"thread {name}" for ident, name in self.threads.items() if ident not in before.threads
        ]
        found += [
            f"{_SHARED}/{name}" for name in sorted(_not_of_others(self.shared - before.shared))
        ]
        found += [
            f"a handler of {number.name}"
            for number, now, then in zip(_SIGNALS, self.handlers, before.handlers, strict=True)
            if now != then
        ]
        return found


def leaks(before: Snapshot) -> list[str]:
    """What has been left since ``before``, once what is ending had its time to end."""
    until = time.monotonic() + PATIENCE
    found = Snapshot.take().leaked_since(before)
    if found:
        gc.collect()  # what hangs in a cycle, such as the frames of an error, is no leak
    while found and time.monotonic() < until:
        time.sleep(_PAUSE)
        found = Snapshot.take().leaked_since(before)
    return found


def _processes() -> Iterator[tuple[int, str]]:
    """All processes below this one, but the fork server and the resource tracker."""
    for pid in _below(os.getpid()):
        try:
            child = psutil.Process(pid)
            is_zombie = child.status() == psutil.STATUS_ZOMBIE
            command = [] if is_zombie else child.cmdline()
            if child.ppid() == os.getpid() and any(map(_is_kept, command)):
                continue
            told = "a zombie" if is_zombie else child.name()
            yield child.pid, f"process {child.pid} ({told})"
        except psutil.NoSuchProcess:
            pass


def _below(pid: int) -> list[int]:
    """The ids of all processes below one."""
    if not Path(f"/proc/{pid}/task/{pid}/children").exists():  # not every kernel tells them
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    found = list(_children(pid))
    for child in found:  # and theirs, as the list grows
        found += _children(child)
    return found


def _children(pid: int) -> set[int]:
    """Those of a process, asked twice: the kernel may leave one out while another one ends."""
    found: set[int] = set()
    for _ in range(2):
        for told in Path("/proc").glob(f"{pid}/task/*/children"):
            with contextlib.suppress(OSError):  # it has ended, or a thread of it
                found.update(map(int, told.read_bytes().split()))
    return found


def _is_kept(word: str) -> bool:
    """Whether a word of a command says that the process lives as long as this one."""
    return "multiprocessing.forkserver" in word or "multiprocessing.resource_tracker" in word


def _shared() -> Iterator[str]:
    if _SHARED.exists():
        with os.scandir(_SHARED) as entries:  # which tells what is a folder without a look at each
            yield from (entry.name for entry in entries if not entry.is_dir())


def _not_of_others(names: frozenset[str]) -> frozenset[str]:
    """Those of the names in ``/dev/shm`` that no process holds but this one and those below it.

    All processes of a machine share that folder, such as two that run tests at one time.
    """
    if not names:
        return names
    here = {os.getpid(), *_below(os.getpid())}
    ours: set[str] = set()
    others: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            held = ours if int(maps.parent.name) in here else others
            held.update(re.findall(rf"{_SHARED}/(\S+)", maps.read_text()))
    return names - (others - ours)


def _descriptors() -> Counter[str]:
    kept = kept_descriptors()
    kinds: Counter[str] = Counter()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink()).removesuffix(" (deleted)")
        except OSError:
            continue
        if int(fd.name) not in kept:
            kinds[target if target.startswith("/") else target.split(":", maxsplit=1)[0]] += 1
    return kinds
