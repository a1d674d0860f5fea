"""Where in the user's code something was written."""

from __future__ import annotations

import sys
from typing import NamedTuple

_PACKAGE = __name__.split(".", maxsplit=1)[0]


class Site(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def caller() -> tuple[Site, int]:
    """The innermost line outside of this package, and its stack level for ``warnings.warn``.

    The level is the one to give in the function that called :func:`caller`. What `typing` does
    for ``Pipeline[int, str](...)`` is no line of the user's.
    """
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    return Site(frame.f_code.co_filename, frame.f_lineno), level


def _is_ours(module: str) -> bool:
    return module in (_PACKAGE, "typing") or module.startswith(_PACKAGE + ".")
