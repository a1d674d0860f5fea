"""How what the user's code raised, and the item that it was about, are told."""

from __future__ import annotations

import traceback
from reprlib import Repr
from typing import Any

from conveyor.errors import StageError

NO_ITEM = object()
"""Stands for the item where there is none: in setup, generate, finish and teardown."""

_PACKAGE_FILES = __file__.rsplit("engines", 1)[0]

_BYTES_SHOWN, _SHOWN = 60, 500
_short = Repr()
_short.maxstring = _short.maxother = 120
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 6

_BYTES: tuple[type[Any], ...] = (bytes, bytearray, memoryview)


def short(item: Any) -> str:
    """A short repr of an item for an error; it never fails."""
    try:
        if isinstance(item, _BYTES) and len(item) > _BYTES_SHOWN:
            return f"{bytes(item[:_BYTES_SHOWN])!r}... ({len(item)} bytes)"
        return _cut(_short.repr(item).replace("\n", " "), _SHOWN)
    except BaseException:
        return f"<{type(item).__name__} whose repr fails>"


def stage_error(stage: str, item: object, error: BaseException) -> StageError:
    """What the caller gets where a processor raised."""
    shown = None if item is NO_ITEM else short(item)
    return StageError(stage, shown, reason(error), traceback_of(error))


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception, from the first frame on that is not ours."""
    return _cut("".join(traceback.format_exception(type(error), error, _theirs(error))), 20_000)


def reason(error: BaseException) -> str:
    """The type and text of an exception, on one line; it never fails."""
    try:
        text = str(error)
    except BaseException:
        text = "<no text: its str() fails>"
    name = type(error).__name__
    return f"{name}: {_cut(text, 2_000)}" if text else name


def _cut(text: str, most: int) -> str:
    """A text without its middle, where it is longer than somebody will read."""
    left_out = len(text) - most
    if left_out <= 0:
        return text
    half = most // 2
    return f"{text[:half]} ... ({left_out} characters are left out) ... {text[-half:]}"


def _theirs(error: BaseException) -> Any:
    """The traceback from the first frame that is not ours."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_PACKAGE_FILES):
            break
        trace = trace.tb_next
    return trace
