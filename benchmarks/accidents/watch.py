"""Sees from outside what becomes of a scene, and clears it away.

A scene is a session of its own, and all its processes inherit the variable that names its notes.
So they are found wherever they have gone, and no others are touched.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psutil

from benchmarks.accidents.deeds import ACCIDENTS, NAME, Accident
from benchmarks.accidents.notes import FILE, Note, note, read
from benchmarks.accidents.scene import FEW, WATCHED

ROOT = Path(__file__).parents[2]

SHARED = Path("/dev/shm")

LIMIT = 8.0
"""Seconds from the accident to the end of patience."""

BEFORE = 20.0
"""Seconds that a scene has until its accident: some start slowly."""

GRACE = 3.0
"""Seconds that processes have to end once the caller's has."""

_PAUSE = 0.005


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a scene.

    Attributes:
        notes: what its processes wrote.
        ended: when the caller's process ended; None where that was for us to do.
        left: how many processes were left behind by the caller's.
        shared: how many names of shared memory were.
        errors: the end of what the scene wrote to its error stream.
    """

    notes: list[Note]
    ended: float | None
    left: int
    shared: int
    errors: str


def watch(contestant: str, name: str, limit: float = LIMIT) -> Seen:
    """Let a contestant meet an accident, and see what comes of it.

    Args:
        contestant: who.
        name: of the accident.
        limit: seconds, from the accident on, after which it counts as hung.
    """
    accident = ACCIDENTS[name]
    with tempfile.TemporaryDirectory(prefix="conveyor-accident-") as folder:
        file = Path(folder) / "notes"
        with (Path(folder) / "stderr").open("w+b") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.accidents.scene", contestant, name],
                cwd=ROOT,
                env={**os.environ, FILE: str(file), NAME: name, "TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                ended, left = _end_of(child, accident, file, limit)
                shared = len(_shared(child)) if ended is not None else 0
            finally:
                _clear_away(child, file)
            stderr.seek(0)
            errors = stderr.read().decode(errors="replace")[-4000:]
        return Seen(read(file), ended, left, shared, errors)


def _end_of(
    child: subprocess.Popen[bytes], accident: Accident, file: Path, limit: float
) -> tuple[float | None, int]:
    """When the caller's process ended, if it did, and what was left behind then."""

    def has_struck() -> bool:
        return child.poll() is not None or any(one["kind"] == "struck" for one in read(file))

    def has_begun() -> bool:
        kinds = [one["kind"] for one in read(file)]
        begun = kinds.count("came") >= FEW and (accident.deed is None or "stuck" in kinds)
        return child.poll() is not None or begun

    by_us = accident.ending in ("interrupt", "kill")
    if accident.ending == "endless":
        _wait(lambda: child.poll() is not None, BEFORE + WATCHED)
        return (monotonic(), 0) if child.poll() is not None else (None, 0)
    if _wait(has_begun if by_us else has_struck, BEFORE) and by_us and child.poll() is None:
        _strike(child, accident, file)
    if not _wait(lambda: child.poll() is not None, limit):
        return None, 0
    ended = monotonic()
    _wait(lambda: not any(_below(file)), GRACE)
    return ended, sum(1 for _ in _below(file))


def _strike(child: subprocess.Popen[bytes], accident: Accident, file: Path) -> None:
    note("struck", file=file)
    if accident.ending == "kill":
        child.kill()
    else:
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to all of the group


def _wait(condition: Callable[[], bool], limit: float) -> bool:
    until = monotonic() + limit
    while not (holds := condition()) and monotonic() < until:
        sleep(_PAUSE)
    return holds


def _below(file: Path) -> Iterator[psutil.Process]:
    """All living processes of the scene with these notes, whoever is their parent by now."""
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get(FILE) == str(file)
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _shared(child: subprocess.Popen[bytes]) -> list[Path]:
    """The names in shared memory that tell that they are the caller's."""
    own = re.compile(rf"(?<!\d){child.pid}(?!\d)")
    return [path for path in SHARED.iterdir() if own.search(path.name)]


def _clear_away(child: subprocess.Popen[bytes], file: Path) -> None:
    """End all that is left, until there is no more of it: some start new ones."""
    until = monotonic() + LIMIT
    while monotonic() < until and (left := [*_below(file)]):
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        sleep(_PAUSE)
    child.wait()
    for path in _shared(child):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
