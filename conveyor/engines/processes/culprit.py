"""What it is in a value that can't be pickled."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any, NamedTuple, cast

from conveyor.dsl.wrapped import Wrapped
from conveyor.engines.processes.pickling import failure
from conveyor.engines.telling import short


class Culprit(NamedTuple):
    """What can't be pickled.

    Attributes:
        where: the path to it.
        error: why.
        hint: what to do, if that is not what is to be done as a rule.
    """

    where: str
    error: BaseException
    hint: str = ""


def culprit(value: Any, where: str, error: BaseException, depth: int = 8) -> Culprit:
    """The innermost part that can't be pickled."""
    if _MULTIPROCESSING.intersection(cls.__module__ for cls in type(value).__mro__):
        return Culprit(where, error, _MANAGER)
    # To look into it runs code of the user's: a proxy may fail at any question.
    with suppress(Exception):
        for name, part in _parts(value, where) if depth else ():
            failed = failure(part)
            if failed is not None:
                return culprit(part, name, failed, depth - 1)
    return Culprit(where, error)


_MULTIPROCESSING = frozenset(
    f"multiprocessing.{name}"
    for name in ("connection", "heap", "managers", "queues", "sharedctypes", "synchronize")
)
_MANAGER = (
    "give what multiprocessing.Manager() makes, such as its Queue(), Lock(), Event() or Value(): "
    "that can travel, and all see the same"
)


def _parts(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, part in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield f"{where}[{short(key)}]", part
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, part in enumerate(cast("Iterable[Any]", value)):
            yield f"{where}[{index}]", part
    elif isinstance(value, FunctionType):
        used = inspect.getclosurevars(value)
        for name, part in {**used.globals, **used.nonlocals}.items():
            yield f"{name!r}, which {value.__qualname__}() uses", part
    elif isinstance(value, Wrapped):
        yield from _parts(value._function, where)
    elif not isinstance(value, type):
        for name, part in getattr(value, "__dict__", {}).items():
            yield f"{where}.{name}", part
