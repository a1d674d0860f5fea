"""What can be told of a function that somebody wrote, and of other foreign values."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from conveyor.dsl.site import name_there


def name_of(function: Any) -> str:
    """What a function is called in an expression; "lambda" for one without a name."""
    function = innermost(function)
    name = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else str(name)


def innermost(function: Any) -> Any:
    """The function, without the arguments that `functools.partial` fixes."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def body_of(function: Any) -> Any:
    """The function that runs when something is called: of an object, its ``__call__``."""
    inner: Any = innermost(function)
    is_bare = inspect.isfunction(inner) or inspect.ismethod(inner) or isinstance(inner, type)
    if is_bare or hasattr(inner, "__wrapped__"):
        return inner
    return getattr(inner, "__call__", inner)  # noqa: B004 - it is not asked whether there is one


def is_async(function: Any) -> bool:
    """Whether calling it gives something to await, and no result."""
    inner: Any = innermost(function)
    if not inspect.isfunction(inner) and not inspect.ismethod(inner):
        call = getattr(inner.__class__, "__call__", None)  # noqa: B004 - whether it is async
        return _is_async_itself(inner) or _is_async_itself(call)
    return _is_async_itself(inner)


def _is_async_itself(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def is_generator(function: Any) -> bool:
    """Whether calling it gives an iterator over what it yields."""
    return inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(body_of(function))


def decorates_generator(function: Any) -> bool:
    """Whether it stands before a generator function, and may give what that gives, or anything."""
    outer = body_of(function)
    try:
        inner = inspect.unwrap(outer)
    except ValueError:  # it goes round in a circle
        return False
    return inner is not outer and is_generator(inner)


ASYNC = "is async: calling it gives no result, but something to await"


def shown(value: object) -> str:
    """A foreign value in an error: short, and never failing."""
    if callable(value) and hasattr(value, "__name__"):
        return name_there(value)
    from reprlib import repr as short_repr

    return short_repr(value).replace("\n", " ")
