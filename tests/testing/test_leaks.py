"""What counts as left behind."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing import shared_memory

import pytest

from conveyor.testing.leaks import Snapshot

pytestmark = pytest.mark.quick

HOLDER = """
import os, sys
from multiprocessing import shared_memory

if os.fork():
    os._exit(0)  # who holds it is nobody's child
held = shared_memory.SharedMemory(create=True, size=1)
print(held.name, flush=True)
sys.stdin.read()
held.close()
held.unlink()
"""


def test_shared_memory_that_a_process_elsewhere_holds_is_no_leak():
    before = Snapshot.take()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        name = holder.stdout.readline().strip()
        holder.wait()
        now = Snapshot.take()

        assert name in now.shared
        assert f"/dev/shm/{name}" not in now.leaked_since(before)

        holder.stdin.close()
        assert not holder.stdout.read()


def test_shared_memory_of_this_process_is_one():
    before = Snapshot.take()
    held = shared_memory.SharedMemory(create=True, size=1)
    try:
        assert f"/dev/shm/{held.name}" in Snapshot.take().leaked_since(before)
    finally:
        held.close()
    assert f"/dev/shm/{held.name}" in Snapshot.take().leaked_since(before)
    held.unlink()
