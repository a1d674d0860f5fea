"""What a test leaves is told, and what others on the machine do is not."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import shared_memory

from conveyor.testing.leaks import Snapshot

FOREIGN = """
import mmap, os, sys
if os.fork():
    os._exit(0)
with open(sys.argv[1], "w+b") as file:
    file.truncate(4096)
    kept = mmap.mmap(file.fileno(), 4096)
print("made", flush=True)
sys.stdin.read()
os.unlink(sys.argv[1])
"""


def test_shared_memory_that_is_left_is_told():
    before = Snapshot.take()
    memory = shared_memory.SharedMemory(create=True, size=4096)
    try:
        assert f"/dev/shm/{memory.name}" in Snapshot.take().leaked_since(before)
    finally:
        memory.close()
        memory.unlink()


def test_shared_memory_of_somebody_elses_process_is_not():
    name = f"conveyor-test-{os.getpid()}"
    before = Snapshot.take()
    made = subprocess.Popen(
        [sys.executable, "-c", FOREIGN, f"/dev/shm/{name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None
    assert made.stdin is not None
    assert made.stdout.readline() == "made\n"
    made.wait()  # what it has forked lives on, and is no child of ours
    told = Snapshot.take().leaked_since(before)
    made.stdin.close()
    assert made.stdout.read() == ""
    made.stdout.close()
    assert [one for one in told if name in one] == []
