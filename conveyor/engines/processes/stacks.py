"""The stacks of workers, for a test that hangs: a worker writes its own when it is asked.

It is asked by a signal that the interpreter answers in C, so also one that is inside of a call
that never returns tells where it is.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from conveyor.engines.processes.launch import WorkerProcess

FOLDER = "CONVEYOR_STACKS"
"""The variable that says where the files are. Where it is not set, workers do not listen."""

PATIENCE = 2.0
"""Seconds that workers have to answer. One that is stopped never does."""

_PAUSE = 0.02
_CALM = 3


def listen() -> None:
    """In a worker: answer from now on, if anybody is going to ask."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    path = _file(Path(folder), os.getpid())
    unready = path.with_suffix(".unready")
    try:
        # It stays open as long as the process lives.
        faulthandler.register(signal.SIGUSR2, unready.open("wb"), all_threads=True)
        # Now the signal no longer ends this process, and whoever asks may know.
        unready.rename(path)
    except OSError:
        return  # the folder is gone, and who would have asked with it


def ask(workers: Mapping[int, WorkerProcess]) -> dict[int, str]:
    """In the caller: the stacks of worker processes, by the keys of these, where they answer."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return {}
    files = {number: _file(Path(folder), worker.pid) for number, worker in workers.items()}
    asked = [number for number, file in files.items() if file.exists()]
    for number in asked:
        workers[number].send_signal(signal.SIGUSR2)
    _wait_until_calm([files[number] for number in asked])
    texts = {number: files[number].read_text("utf-8", "replace").strip() for number in asked}
    return {number: text for number, text in texts.items() if text}


def _wait_until_calm(files: list[Path]) -> None:
    """Wait until all files have something in them, and grow no more."""
    until, calm, before = time.monotonic() + PATIENCE, 0, list[int]()
    while calm < _CALM and time.monotonic() < until:
        sizes = [file.stat().st_size for file in files]
        calm = calm + 1 if all(sizes) and sizes == before else 0
        before = sizes
        time.sleep(_PAUSE)


def _file(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.txt"
