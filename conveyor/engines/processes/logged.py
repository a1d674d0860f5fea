"""What workers log with ``logging``, on its way to the handlers of the caller.

A worker is no copy of the caller, so it has none of its handlers and levels. Where a record would
meet handlers in the caller, it is sent there, and handled as if it had been logged there. Where it
would not, this is left to workers: what they log goes to their standard error.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

Emit = Callable[[Mapping[str, Any]], None]
"""Sends the fields of a record."""


_SENT = "_conveyor_sent"


class Setup(NamedTuple):
    """What has been set up, by the names of loggers; the root is ``""``.

    Attributes:
        handled: those that have handlers.
        levels: the level of each that has one of its own.
        disabled: the level up to which nobody logs.
    """

    handled: Collection[str]
    levels: Mapping[str, int]
    disabled: int


def setup() -> Setup | None:
    """What has been set up in this process; None where that is nothing."""
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return None
    loggers = {"": logging.root} | {
        name: logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        # Some of the standard library have handlers as soon as they are imported.
        if isinstance(logger, logging.Logger) and name.split(".")[0] not in sys.stdlib_module_names
    }
    handled = [
        name
        for name, logger in loggers.items()
        if not all(isinstance(handler, logging.NullHandler) for handler in logger.handlers)
    ]
    if not handled:
        return None
    levels = {name: logger.level for name, logger in loggers.items() if logger.level}
    return Setup(handled, levels, logging.root.manager.disable)


def forward(told: Setup, emit: Emit) -> None:
    """Log in this process what the caller does, and send it there."""
    import logging  # slow to import, and few need it

    mine = os.getpid()

    class ToCaller(logging.Handler):
        """Sends each record once; a process that the user's code forks has `lastResort`."""

        def emit(self, record: logging.LogRecord) -> None:
            known = vars(record)
            if _SENT in known:
                return  # by a logger below, which has handlers, too
            if os.getpid() == mine:
                emit(_fields(record))
            elif logging.lastResort is not None:
                logging.lastResort.handle(record)
            known[_SENT] = True

    def _fields(record: logging.LogRecord) -> dict[str, Any]:
        fields = dict(vars(record))
        fields |= {"msg": record.getMessage(), "args": None}
        if record.exc_info:
            fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
            fields["exc_info"] = None
        return {name: _as_it_travels(value) for name, value in fields.items()}

    logging.disable(told.disabled)
    for name, level in told.levels.items():
        logging.getLogger(name).setLevel(level)
    handler = ToCaller()
    for name in told.handled:
        logging.getLogger(name).addHandler(handler)


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
