"""The files that a command line names: what is written to one must not cost another."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TextIO

from conveyor import UsageError


def see_that_apart(files: Mapping[str, str | TextIO | None]) -> None:
    """See, before any of them is opened, that no two files are one.

    Args:
        files: the paths, or the streams that are open, by what they are called on the command
            line; None where there is none.

    Raises:
        UsageError: two are one.
    """
    known = [(name, file) for name, file in files.items() if file is not None]
    for (name, file), (other, another) in combinations(known, 2):
        identity = _identity(file)
        if identity is not None and identity == _identity(another):
            path = next((f", {each!r}" for each in (another, file) if isinstance(each, str)), "")
            raise UsageError(
                f"{other} and {name} are the same file{path}: what is written to it would replace "
                "what is there; name another file for one of them"
            )


def _identity(file: str | TextIO) -> object:
    """What all names of a file share; None for what can be both ends: a terminal, a pipe."""
    try:
        status = Path(file).stat() if isinstance(file, str) else os.fstat(file.fileno())
    except OSError:
        return os.path.realpath(str(file))  # it is still to be made
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
