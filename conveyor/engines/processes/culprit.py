"""What it is in a value that can't be pickled."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType, MethodType
from typing import Any, NamedTuple, cast

from conveyor.dsl.functions import name_of
from conveyor.dsl.wrapped import Wrapped
from conveyor.engines.processes.pickling import failure, used_by
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


def culprit(
    value: Any, where: str, error: BaseException, around: tuple[object, ...] = ()
) -> Culprit:
    """The innermost part that can't be pickled.

    Args:
        value: what can't be.
        where: the path to it.
        error: why.
        around: what it is a part of, from the outermost on.
    """
    if _MULTIPROCESSING.intersection(cls.__module__ for cls in type(value).__mro__):
        return Culprit(where, error, _MANAGER)
    around = (*around, value)
    # To look into it runs code of the user's: a proxy may fail at any question.
    with suppress(Exception):
        for name, part in _parts(value, where) if len(around) <= _DEPTH else ():
            if any(part is one for one in around):
                continue  # a function that calls itself fails as well, for what else it uses
            failed = failure(part)
            if failed is not None:
                return culprit(part, name, failed, around)
    return Culprit(where, error)


_DEPTH = 8

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
    elif isinstance(value, Wrapped):
        yield from _parts_of_callable(value._callable)
    elif isinstance(value, (FunctionType, MethodType, functools.partial)):
        yield from _parts_of_callable(value)
    elif isinstance(value, type):
        yield from _parts_of_class(value)
    else:
        for name, part in _attributes(value):
            yield f"{where}.{name}", part
        yield type(value).__name__, type(value)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an instance, those in slots among them."""
    yield from getattr(value, "__dict__", {}).items()
    for cls in type(value).__mro__:
        for name, slot in vars(cls).items() if "__slots__" in vars(cls) else ():
            if inspect.ismemberdescriptor(slot) and hasattr(value, name):
                yield name, getattr(value, name)


def _parts_of_callable(function: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(function, functools.partial):
        name = name_of(function)
        for index, part in enumerate(function.args):
            yield f"argument {index} that is fixed for {name}()", part
        for key, part in function.keywords.items():
            yield f"the argument {key!r} of {name}()", part
        yield from _parts_of_callable(cast("Any", function.func))
    elif isinstance(function, MethodType):
        owner = function.__self__
        yield (owner.__name__ if isinstance(owner, type) else _an(owner)), owner
    elif isinstance(function, FunctionType):
        name = function.__qualname__
        for key, part in used_by(function).items():
            yield f"{key!r}, which {name}() uses", part
        for key, parameter in inspect.signature(function, follow_wrapped=False).parameters.items():
            yield f"the default of {key!r} of {name}()", parameter.default
    else:
        yield _an(function), function


def _an(instance: object) -> str:
    """An instance of a class, as expressions show it."""
    return f"{type(instance).__name__}(...)"


def _parts_of_class(cls: type) -> Iterator[tuple[str, Any]]:
    """The methods of a class, and what is set in it; of what Python sets, nothing matters."""
    members: Mapping[str, Any] = vars(cls)
    for name, found in members.items():
        has_it = _AROUND.get(found.__class__)
        part: Any = found if has_it is None else getattr(found, has_it)
        if isinstance(part, FunctionType) or not (name.startswith("_abc") or _is_descriptor(part)):
            yield f"{cls.__name__}.{name}", part
    for base in cls.__bases__:
        yield base.__name__, base


_AROUND: Mapping[type[Any], str] = {
    staticmethod: "__func__",
    classmethod: "__func__",
    property: "fget",
    functools.cached_property: "func",
}
"""What stands around a method, and where it has that."""


def _is_descriptor(part: object) -> bool:
    return hasattr(type(part), "__get__")
