"""Nothing is left behind: fixtures that see to it, and a look at processes by their ids."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from conveyor import Feed, Processor
from conveyor.engines.processes.fork_server import start_fork_server
from conveyor.testing.leaks import PATIENCE, Snapshot, leaks

WHAT_TESTS_IMPORT = ("hypothesis", "loguru", "numpy", "psutil", "pytest", "tests.strategies")
"""Workers import the module of a test, where they are not to import all of this each time."""


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
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for temporary files that nobody else writes to."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def warm_engine(temporary_folder: Path) -> None:
    """The fork server is there before any test counts what it holds."""
    start_fork_server(lambda: WHAT_TESTS_IMPORT)
    assert (Feed() >> Processor(abs)).run([-1]) == [1]


@pytest.fixture(autouse=True)
def nothing_left(warm_engine: None, temporary_folder: Path) -> Iterator[None]:
    """Whatever a test does, it leaves no process, descriptor, thread, shared memory or file."""
    before, files = Snapshot.take(), {*temporary_folder.iterdir()}
    yield
    left = leaks(before) + [str(path) for path in {*temporary_folder.iterdir()} - files]
    assert not left, ", ".join(left)
