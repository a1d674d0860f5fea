"""Files that are whole or not there."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from conveyor.engines.processes.vitals import umask
from conveyor.errors import UsageError


def write_whole(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file, which is replaced only once the new one is complete.

    Args:
        path: where it goes.
        data: what is in it.
        mode: who may read it; unset, whoever may read other new files.

    Raises:
        OSError: the file can't be written; what was there is still there.
    """
    try:
        _replace(path, data, mode)
    except OSError as error:
        if error.errno is None:
            raise  # the system says why: this is a limit of time, whose handler has raised it
        # It knows the name of the new file only, or none: the user's is this.
        raise OSError(error.errno, error.strerror, str(path)) from None


def _replace(path: Path, data: bytes, mode: int | None) -> None:
    # In the same folder, so that it can take the place of the old one in one step.
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _usual_mode() if mode is None else mode)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _usual_mode() -> int:
    """The mode of a new file; where the system does not tell, it is for its owner alone."""
    mask = umask()
    return 0o600 if mask is None else 0o666 & ~mask


def see_that_writable(path: Path, what: str) -> None:
    """See, before there is something to write, that a file can be written by its name.

    Raises:
        UsageError: it can't; the message says why.
    """
    if path.exists() and not path.is_file():
        # A device or a pipe would be replaced by the file.
        kind = "a folder" if path.is_dir() else "no ordinary file"
        raise UsageError(f"{what} can't be written to {str(path)!r}: that is {kind}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        if error.errno is None:
            raise  # as above
        raise UsageError(f"{what} can't be written to {str(path)!r}: {error.strerror}") from error
