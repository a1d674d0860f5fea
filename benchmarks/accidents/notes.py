"""What happened, noted by whoever saw it: one line of JSON each, in one file, on one clock."""

from __future__ import annotations

import json
import os
from pathlib import Path
from time import monotonic
from typing import Any

FILE = "CONVEYOR_ACCIDENT_NOTES"
"""The variable that names the file. All processes inherit it, so it also tells whose they are."""

Note = dict[str, Any]


def note(kind: str, *, file: Path | None = None, **more: object) -> None:
    """Write one down; a single write, so that those of several processes do not mix.

    Args:
        kind: what happened.
        file: where; that of the variable, if it is left out.
        more: what else there is to say.
    """
    line = json.dumps({"kind": kind, "at": monotonic(), **more}) + "\n"
    fd = os.open(file or os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def read(file: Path) -> list[Note]:
    """All that were written so far, in their order."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
