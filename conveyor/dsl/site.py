"""Where in the user's code something was written."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, TypeVar

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
    frame, level = _users(sys._getframe(1))
    if frame.f_code is built_for.__code__:
        where: Callable[[], Site] = frame.f_locals["where"]
        return where(), level
    return Site(frame.f_code.co_filename, frame.f_lineno), level


def name_there(value: Any) -> str:
    """The name of a function or class as the user's line can write it, such as ``str.upper``.

    Its module stands before it where the line knows that one by a name, but not the function.
    """
    frame, _ = _users(sys._getframe(1))
    known: dict[str, Any] = {**vars(builtins), **frame.f_globals, **frame.f_locals}
    name = _qualified(value)
    first = name.partition(".")[0]
    module = sys.modules.get(str(getattr(value, "__module__", "")))
    if first not in known and hasattr(module, first):
        aliases = (alias for alias, found in known.items() if found is module)
        return next((f"{alias}.{name}" for alias in aliases), name)
    return name


def _qualified(value: Any) -> str:
    owner = getattr(value, "__self__", None)
    if isinstance(owner, type):
        return f"{_qualified(owner)}.{value.__name__}"
    if owner is not None:  # an instance, whose name is not known, or the module of a builtin
        return str(value.__name__)
    name = str(getattr(value, "__qualname__", value.__name__)).rpartition("<locals>.")[2]
    return "lambda" if name.endswith("<lambda>") else name


def _users(frame: FrameType) -> tuple[FrameType, int]:
    level = 1
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        if frame.f_code is built_for.__code__:
            break
        frame = frame.f_back
        level += 1
    return frame, level


def _is_ours(module: str) -> bool:
    return module in (_PACKAGE, "typing") or module.startswith(_PACKAGE + ".")
