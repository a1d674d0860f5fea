"""What workers log with ``logging``, on its way to the handlers of the caller.

A worker is no copy of the caller, so it has none of its handlers and levels. Where the caller has
set up any, a worker logs what the caller would, and the caller handles it. Where it has not, this
is left to workers: what they log goes to their standard error.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Emit = Callable[[Mapping[str, Any]], None]
"""Sends the fields of a record."""


class Levels(NamedTuple):
    """What the caller logs.

    Attributes:
        levels: for each logger that has one of its own, its level; the root is ``""``.
        disabled: the level up to which nobody logs.
    """

    levels: Mapping[str, int]
    disabled: int


def levels() -> Levels | None:
    """What this process logs; None where nobody has set up anything."""
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return None
    named = {
        name: logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger)
    }
    if not any(logger.handlers for logger in (logging.root, *named.values())):
        return None
    own = {name: logger.level for name, logger in named.items() if logger.level}
    return Levels({"": logging.root.level, **own}, logging.root.manager.disable)


def forward(told: Levels, emit: Emit) -> None:
    """Log in this process what the caller does, and send it there."""
    import logging  # slow to import, and few need it

    mine = os.getpid()

    class ToCaller(logging.Handler):
        """Sends records; a process that the user's code forks writes to the standard error."""

        def emit(self, record: logging.LogRecord) -> None:
            if os.getpid() == mine:
                emit(_fields(record))
            elif logging.lastResort is not None:
                logging.lastResort.handle(record)

    def _fields(record: logging.LogRecord) -> dict[str, Any]:
        fields = dict(vars(record))
        fields |= {"msg": record.getMessage(), "args": None}
        if record.exc_info:
            fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
            fields["exc_info"] = None
        return {name: _as_it_travels(value) for name, value in fields.items()}

    logging.disable(told.disabled)
    for name, level in told.levels.items():
        logging.getLogger(name or None).setLevel(level)
    logging.root.addHandler(ToCaller())


def _as_it_travels(value: object) -> object:
    """What somebody has added to a record, or what it looks like, if it can't be sent."""
    try:
        data = pickle.dumps(value, 5)
    except Exception:
        return repr(value)
    return repr(value) if b"__main__" in data else value


def handle(fields: Mapping[str, Any]) -> None:
    """Let the handlers of this process have a record that a worker has sent."""
    import logging

    record = logging.makeLogRecord(dict(fields))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
