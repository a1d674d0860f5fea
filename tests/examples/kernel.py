"""Interrupts a cell that would run for ever, in a kernel of its own, and tells what it saw.

A script, so that what a kernel's client starts, threads and an event loop, ends with it.
"""

from __future__ import annotations

import json

from jupyter_client.manager import start_new_kernel

LIMIT = 60
"""Seconds that each thing may take; this only keeps a hang from lasting."""

ENDLESS = """
from itertools import count
from conveyor import Processor

def look(number):
    if number == 1000:
        print("under way")
    return number

pipeline = Processor(look) >> Processor(abs) % 2
outputs = 0
for outputs, _ in enumerate(pipeline.stream(count())):
    pass
"""
AFTER = """
from conveyor.testing.leaks import Snapshot
print(outputs > 0, sorted(pipeline.run([1, 2])), list(Snapshot.take().processes.values()))
"""


def until_idle(client, request, on_text=None):
    """The messages of a cell that are outputs, until it is done."""
    found = []
    while True:
        message = client.get_iopub_msg(timeout=LIMIT)
        if message["parent_header"].get("msg_id") != request:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "status" and content["execution_state"] == "idle":
            return found
        if kind in ("stream", "error"):
            found.append([kind, content.get("text") or content.get("ename")])
            if on_text is not None and kind == "stream":
                on_text()
                on_text = None


manager, client = start_new_kernel(kernel_name="python3")
try:
    interrupted = until_idle(client, client.execute(ENDLESS), manager.interrupt_kernel)
    after = until_idle(client, client.execute(AFTER))
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
print(json.dumps({"interrupted": interrupted, "after": after}))
