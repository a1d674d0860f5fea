"""The stacks of workers: each writes its own when it is asked, behind its recorder's memory.

It is asked by a signal that the interpreter answers in C, so also one that is inside of a call
that never returns tells where it is.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from conveyor.engines.processes.recorder import Recorder

if TYPE_CHECKING:
    from conveyor.engines.processes.launch import WorkerProcess

SIGNAL = signal.SIGRTMAX - 1
"""One that the user's code has hardly a use of its own for."""

PATIENCE = 1.0
"""Seconds that workers have to answer."""

_PAUSE = 0.02
_CALM = 3


def listen(memory: int, recorder: Recorder) -> None:
    """In a worker: answer from now on.

    Args:
        memory: the descriptor of the recorder's memory; it stays open as long as the process lives.
        recorder: where those who ask see that the signal does not end this process.
    """
    os.lseek(memory, 0, os.SEEK_END)
    faulthandler.register(SIGNAL, memory, all_threads=True)
    recorder.listens = True


def ask(workers: Mapping[WorkerProcess, int]) -> dict[int, str]:
    """In the caller: the stacks of workers that listen, by their process ids, where they answer.

    Args:
        workers: each with the descriptor of its recorder's memory.
    """
    before = {worker: _size(memory) for worker, memory in workers.items()}
    for worker in workers:
        worker.send_signal(SIGNAL)
    _wait_until_calm(workers.values(), before.values())
    texts = {
        worker.pid: os.pread(memory, _size(memory) - before[worker], before[worker])
        for worker, memory in workers.items()
    }
    return {pid: text.decode("utf-8", "replace").strip() for pid, text in texts.items() if text}


def _wait_until_calm(memories: Collection[int], before: Collection[int]) -> None:
    """Wait until something is behind all of them, and they grow no more."""
    until, calm, last = time.monotonic() + PATIENCE, 0, list(before)
    while calm < _CALM and time.monotonic() < until:
        sizes = [_size(memory) for memory in memories]
        have_all = all(now > then for now, then in zip(sizes, before, strict=True))
        calm = calm + 1 if have_all and sizes == last else 0
        last = sizes
        time.sleep(_PAUSE)


def _size(memory: int) -> int:
    return os.fstat(memory).st_size
