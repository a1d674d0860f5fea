"""Our log: loguru's, silent until somebody enables it, and not imported before somebody does.

Loguru takes longer to import than all of Conveyor. Who wants to read a log has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_LOGURU = "loguru"


def silence() -> None:
    """Disable our log, now or, where loguru has not been imported yet, as soon as it is."""
    when_imported(_disable)


def _disable(logger: Any) -> None:
    logger.disable("conveyor")


def when_imported(act: Callable[[Any], object]) -> None:
    """Do something with loguru's logger, now or as soon as loguru is imported."""
    if (logger := loaded()) is not None:
        act(logger)
    else:
        sys.meta_path.insert(0, _Finder(act))


def debug(message: str, *arguments: object) -> None:
    """Log what only those want to know who look for it."""
    if (logger := loaded()) is not None:
        logger.opt(depth=1).debug(message, *arguments)


def warning(message: str, *arguments: object) -> None:
    """Log what people should know of."""
    if (logger := loaded()) is not None:
        logger.opt(depth=1).warning(message, *arguments)


def warning_of(text: Callable[[], str]) -> None:
    """Log what people should know of, and what is worked out only if somebody reads it."""
    if (logger := loaded()) is not None:
        logger.opt(depth=1, lazy=True).warning("{}", text)


def loaded() -> Any:
    """Loguru's logger, or None where nobody has imported it."""
    return getattr(sys.modules.get(_LOGURU), "logger", None)


class _Finder:
    """Finds loguru as it would be found, and does something with its logger once it is imported."""

    def __init__(self, act: Callable[[Any], object]) -> None:
        self._act = act

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find loguru, and nothing else."""
        if fullname != _LOGURU:
            return None
        behind = sys.meta_path[sys.meta_path.index(self) + 1 :]
        found = (finder.find_spec(fullname, path, target) for finder in behind)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                # Who finds it may not import it, and a loader may be that of other modules, too.
                if module.__name__ == _LOGURU and self in sys.meta_path:
                    sys.meta_path.remove(self)
                    self._act(module.logger)

            loader.exec_module = exec_module
        return spec
