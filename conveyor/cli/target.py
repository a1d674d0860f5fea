"""From ``module:name`` or ``file.py:name`` to the pipeline that is meant."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import cloudpickle

from conveyor import ConveyorError, Element, Graph
from conveyor.dsl.element import is_element
from conveyor.dsl.site import Site, built_for

T = TypeVar("T")


class TargetError(Exception):
    """There is no such pipeline."""


class UserError(Exception):
    """The user's own code raised; the text is its traceback, without our part of it."""


def load(target: str) -> tuple[Element[Any, Any], Graph]:
    """The pipeline that a target names, an element or what a function gives; and its graph.

    Raises:
        TargetError: there is none.
        UserError: the user's code raised.
        ConveyorError: what the user's code builds breaks a rule.
    """
    module, name, found = _named(target)

    def where() -> Site:
        return _built_at(found, module, name) or Site(target)

    pipeline = _element(found, target, where)
    return pipeline, built_for(pipeline.compile, where)


def _named(target: str) -> tuple[ModuleType, str, object]:
    """What a target names, with the module and the name in it."""
    place, colon, name = target.rpartition(":")
    if not (colon and place and name):
        raise TargetError(f"TARGET is module:name or file.py:name, not {target!r}")
    module = _file(place) if place.endswith(".py") else _module(place)
    return module, name, _found(module, place, name)


def _module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    if name.startswith("."):
        raise TargetError(f"there is no module {name!r}: write its whole name")
    return _guarded(lambda: _imported(name))


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Not a module that this one imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise TargetError(f"there is no module {error.name!r}") from None


def _file(path: str) -> ModuleType:
    file = Path(path).resolve()
    if not file.is_file():
        raise TargetError(f"there is no file {path!r}")
    sys.path.insert(0, str(file.parent))
    # By this name nobody can import it, and all of it goes to workers by value. So they do not
    # run the file, which need not guard what it does when it is run as a script.
    name = f"<{file.stem}>"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    cloudpickle.register_pickle_by_value(module)
    run = spec.loader.exec_module
    _guarded(lambda: run(module))
    return module


def _found(module: ModuleType, place: str, name: str) -> object:
    found: object = module
    for part in name.split("."):
        try:
            found = _attribute(found, part)
        except AttributeError:
            known = [key for key, value in vars(module).items() if is_element(value)]
            hint = f"; of pipelines it has {', '.join(known)}" if known else ""
            raise TargetError(f"there is no {name!r} in {place}{hint}") from None
    return found


def _attribute(of: object, name: str) -> object:
    """An attribute, which may be made by the user's code as it is asked for."""
    missing = object()
    found = _guarded(lambda: getattr(of, name, missing))
    if found is missing:
        raise AttributeError
    return found


def _element(found: object, target: str, where: Callable[[], Site]) -> Element[Any, Any]:
    if callable(found) and not is_element(found):
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise TargetError(f"{target} can't be called without arguments: {error}") from None
        except ValueError:
            pass  # a builtin, which does not tell what it takes
        build = found
        found = _guarded(lambda: built_for(build, where))
        target += "()"
    if not is_element(found):
        raise TargetError(f"{target} is no pipeline, but of type {type(found).__name__}")
    return found


def _built_at(found: object, module: ModuleType, name: str) -> Site | None:
    """Where a function begins, or a variable of a module is set last; None where that is unknown.

    An element does not know its line: most are never refused, and all would have to look for it.
    """
    if callable(found) and not is_element(found):
        function = inspect.unwrap(getattr(found, "__func__", found))
        if inspect.isfunction(function):
            return Site(function.__code__.co_filename, function.__code__.co_firstlineno)
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):
        return None
    lines = [one.lineno for one in _statements(tree) if _sets(one, name)]
    return Site(str(module.__file__), max(lines)) if lines else None


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """The statements that run when a module is loaded."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            yield from _statements(node)


def _sets(statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.FunctionDef(name=known):
            return known == name
        case ast.Assign(targets=targets):
            pass
        case ast.AnnAssign(target=target, value=ast.expr()) | ast.AugAssign(target=target):
            targets = [target]
        case _:
            return False
    names = (node for target in targets for node in ast.walk(target))
    return any(isinstance(node, ast.Name) and node.id == name for node in names)


def _guarded(call: Callable[[], T]) -> T:
    """What the user's code gives.

    Raises:
        TargetError, ConveyorError: as they are.
        UserError: it raised anything else.
    """
    try:
        return call()
    except (TargetError, ConveyorError):
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - users' code may raise anything
        raise UserError(_trimmed(error)) from None


def _trimmed(error: BaseException) -> str:
    """A traceback that begins in the user's code."""
    step = error.__traceback__
    while step is not None and _is_ours(step.tb_frame.f_globals.get("__name__", "")):
        step = step.tb_next
    return "".join(traceback.format_exception(type(error), error, step)).rstrip()


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS


_OURS = ("conveyor", "importlib", "_frozen_importlib", "_frozen_importlib_external")
"""What stands between the command and the user's code in a traceback."""
