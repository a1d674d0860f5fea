"""Where in the user's code something was written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple, TypeVar

_PACKAGE = __name__.split(".", maxsplit=1)[0]

T = TypeVar("T")


class Site(NamedTuple):
    """A line of the user's code; without a line, another name for a place in it."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def built_for(
    build: Callable[[], T],
    where: Callable[[], Site],  # noqa: ARG001 - caller() finds it in this frame
) -> T:
    """What ``build`` gives, for a command: beneath that there is no line of the user's.

    Args:
        build: what may be refused.
        where: tells, if it is, which place is meant where no line of the user's called for it.
    """
    return build()


def caller() -> tuple[Site, int]:
    """The innermost line outside of this package, and its stack level for ``warnings.warn``.

    The level is the one to give in the function that called :func:`caller`. What `typing` does
    for ``Pipeline[int, str](...)`` is no line of the user's. Where a command builds it, and not the
    user's code, the site is what :func:`built_for` was told.
    """
    frame = sys._getframe(1)
    level = 1
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        if frame.f_code is built_for.__code__:
            where: Callable[[], Site] = frame.f_locals["where"]
            return where(), level
        frame = frame.f_back
        level += 1
    return Site(frame.f_code.co_filename, frame.f_lineno), level


def _is_ours(module: str) -> bool:
    return module in (_PACKAGE, "typing") or module.startswith(_PACKAGE + ".")
