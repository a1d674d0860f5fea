"""What the processors of a pipeline import, so that the fork server can import it once.

Each worker would import it anew otherwise, and numpy alone takes a tenth of a second. Only what
is installed is imported early: what the user's own modules do when they are imported, such as to
open a file, belongs into the worker.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from conveyor.dsl.copies import instance_state
from conveyor.graph import Graph

MODULES = "CONVEYOR_MODULES"
"""The variable that tells a new fork server what to import besides ourselves."""

CALLER = "CONVEYOR_CALLER"
"""The variable that tells it the process that has started it."""


def imported_by(graph: Graph) -> list[str]:
    """The names of the installed modules that the processors use, as far as they show it.

    A processor that travels by value shows what its functions refer to; any other shows what its
    module has imported. What is imported inside of a function is not seen.
    """
    found: dict[str, None] = {}
    processors = [node.processor for node in graph.processors if node.processor is not None]
    for processor in processors:
        parts: list[Any] = [type(processor), *instance_state(processor).values()]
        for part in parts:
            if isinstance(part, type | FunctionType):
                found |= dict.fromkeys(filter(_is_installed, map(_module_of, _used(part))))
    return [*found, *(["logging"] if _is_logging_set_up() else [])]


def _is_logging_set_up() -> bool:
    if "logging" not in sys.modules:
        return False
    from conveyor.engines.processes.logged import setup  # slow to import, but for what logging has

    return setup() is not None


def _used(part: type[Any] | FunctionType) -> Iterator[Any]:
    """What a class or a function needs to be imported: modules, or things from them."""
    home = sys.modules.get(part.__module__)
    if home is None or home.__name__ == "__main__":
        for function in _functions(part):
            known = function.__globals__
            yield from (known[name] for name in _names(function.__code__) if name in known)
    elif _is_installed(home.__name__):
        yield home
    else:
        yield from list(vars(home).values())  # which another thread may add to


def _functions(part: type[Any] | FunctionType) -> Iterator[FunctionType]:
    values: list[Any] = [part] if isinstance(part, FunctionType) else list(vars(part).values())
    return (value for value in values if isinstance(value, FunctionType))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _module_of(value: Any) -> str:
    """The name of a module, or of that of a class or function; other objects are left in peace."""
    if isinstance(value, ModuleType):
        return value.__name__
    return str(value.__module__) if isinstance(value, type | FunctionType) else ""


def _is_installed(name: str) -> bool:
    """Whether a module is the standard library's or an installed package's."""
    top = name.partition(".")[0]
    if top in ("", "__main__", "builtins", "conveyor"):
        return False
    if top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file
