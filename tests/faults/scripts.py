"""Runs small scripts as a user would, each in its own process and group, with a hard limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.leaks import end_of, read_pids

LIMIT = 60
"""Seconds after which a script counts as hung; its stacks are printed before."""

PREAMBLE = f"""
import faulthandler, itertools, os, signal, sys, time
faulthandler.dump_traceback_later({LIMIT - 5})
from conveyor import *

def note(item=None):
    with open(os.environ["PIDS"], "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    return item

def descriptors():
    return len(os.listdir("/proc/self/fd"))
"""


@dataclass(frozen=True)
class Ended:
    """How a script ended.

    Attributes:
        code: its exit code; minus the number of the signal that ended it.
        out, err: what it wrote.
        left: the workers that outlived it.
    """

    code: int
    out: str
    err: str
    left: list[int]


class Script:
    """A script that runs.

    Args:
        folder: where its file and its notes go.
        body: the script, behind a few imports; `note` writes the id of the process that calls it,
            and `descriptors` counts those that it has open.
        how: "file", "stdin" or "-c".
    """

    def __init__(
        self, folder: Path, body: str, how: str = "file", flags: tuple[str, ...] = (), **options
    ) -> None:
        self.pids = folder / "pids"
        text = PREAMBLE + textwrap.dedent(body)
        path = folder / "script.py"
        path.write_text(text)
        command = {"file": [str(path)], "stdin": ["-"], "-c": ["-c", text]}[how]
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("stdin", subprocess.PIPE)
        self.process = subprocess.Popen(
            [sys.executable, *flags, *command],
            text=True,
            start_new_session=True,
            cwd=folder,
            env={
                **os.environ,
                "PIDS": str(self.pids),
                "PYTHONPATH": os.pathsep.join(sys.path),
                "TMPDIR": str(folder),  # where one that is killed leaves a socket
            },
            **options,
        )
        self._stdin = text if how == "stdin" else None

    def wait_for(self, line: str) -> None:
        """Wait until the script has printed a line."""
        assert self.process.stdout is not None
        for got in self.process.stdout:
            if got.strip() == line:
                return
        raise AssertionError(f"it ended without {line!r}: {self.end()}")

    def end(self) -> Ended:
        """Wait until it has ended, and for its workers too."""
        try:
            out, err = self.process.communicate(self._stdin, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            out, err = self.process.communicate()
            raise AssertionError(f"it hung\n{out}\n{err}") from None
        left = end_of(read_pids(self.pids))
        return Ended(self.process.returncode, out or "", err or "", left)


def run(folder: Path, body: str, how: str = "file", **options) -> Ended:
    """Run a script to its end."""
    return Script(folder, body, how, **options).end()
