"""Attributes that are worked out when they are first asked for.

As Python has them from 3.12 on. Before, all instances of a class share a lock for that: who works
one out that takes long, as the text of a pipeline may, holds up all others, and a process that is
forked meanwhile waits for a thread that it does not have.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:
    from collections.abc import Callable
    from typing import Any

    class cached_property:  # noqa: N801 - it stands for that of the standard library
        """A method whose result is kept in the instance, in place of it."""

        def __init__(self, function: Callable[[Any], Any]) -> None:
            self._function = function
            self.__doc__ = function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = vars(instance)[self._name] = self._function(instance)
            return value


__all__ = ["cached_property"]
