"""What a program writes to a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path


def on_terminal(
    *arguments: str, stdout: bool = True, cwd: Path | None = None
) -> tuple[int, str, str]:
    """Run Python with its standard error on a terminal, and its standard output, too, or on a pipe.

    Returns:
        Its exit code, what it wrote to the terminal, and what to the pipe.
    """
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=follower if stdout else subprocess.PIPE,
        stderr=follower,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TERM": "xterm",
            "COLUMNS": "100",
            "LINES": "40",
        },
    )
    os.close(follower)
    written = bytearray()

    def read() -> None:
        while True:
            try:
                written.extend(os.read(leader, 65536))
            except OSError:  # nobody writes any more
                return

    reader = threading.Thread(target=read)
    reader.start()
    out = process.communicate(timeout=60)[0]
    reader.join()
    os.close(leader)
    return process.returncode, written.decode().replace("\r\n", "\n"), (out or b"").decode()
