"""What workers log with ``logging``, on its way to the handlers of the caller.

A worker is no copy of the caller, so it has none of its handlers and levels. Where a record would
meet handlers in the caller, it is sent there, and handled as if it had been logged there. Where it
would not, this is left to workers: what they log goes to their standard error.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from logging import LogRecord

Emit = Callable[[Mapping[str, Any]], None]
"""Sends the fields of a record."""


_SENT = "_conveyor_sent"


_BY_ITSELF = ("concurrent.futures",)
"""Loggers that have a handler as soon as their module is imported, whoever does that."""


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
        if isinstance(logger, logging.Logger)
    }
    handled = [
        name
        for name, logger in loggers.items()
        if name not in _BY_ITSELF
        and not all(isinstance(handler, logging.NullHandler) for handler in logger.handlers)
    ]
    if not handled:
        return None
    levels = {name: logger.level for name, logger in loggers.items() if logger.level}
    return Setup(handled, levels, logging.root.manager.disable)


def forward(told: Setup, emit: Emit) -> Callable[[], None]:
    """Log in this process what the caller does, and send it there.

    Returns:
        What takes off the handlers that modules have set up since, here as in the caller.
    """
    import logging  # slow to import, and few need it

    mine = os.getpid()

    class ToCaller(logging.Handler):
        """Sends each record once; a process that the user's code forks has `lastResort`."""

        def emit(self, record: logging.LogRecord) -> None:
            known = vars(record)
            if _SENT in known:
                return  # by a logger below, which has handlers, too
            known[_SENT] = True
            if os.getpid() != mine:
                if logging.lastResort is not None:
                    logging.lastResort.handle(record)
                return
            try:
                emit(_fields(record))
            except Exception:
                self.handleError(record)  # as handlers do: to log fails nobody's work

    logging.disable(told.disabled)
    for name, level in told.levels.items():
        logging.getLogger(name).setLevel(level)
    handler = ToCaller()

    def alone() -> None:
        for name in told.handled:
            logging.getLogger(name).handlers[:] = [handler]

    alone()
    return alone


def _fields(record: LogRecord) -> dict[str, Any]:
    """A record as it travels: its text is made here."""
    fields = {name: value for name, value in vars(record).items() if name != _SENT}
    fields |= {"msg": record.getMessage(), "args": None}
    if record.exc_info:
        fields["exc_text"] = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        fields["exc_info"] = None
    return {name: as_it_travels(value) for name, value in fields.items()}


def as_it_travels(value: object) -> object:
    """What somebody has added to a record, or what it looks like, if it can't be had again."""
    if value is None or type(value) in (str, int, float):
        return value
    # Slow to import, and the fork server is to be started before that.
    from conveyor.engines.processes.pickling import is_for_us

    try:
        data = pickle.dumps(value, 5)
        if is_for_us(data, ()):
            return repr(value)
        pickle.loads(data)
    except Exception:
        return repr(value)
    return value


def handle(fields: Mapping[str, Any]) -> None:
    """Let the handlers of this process have a record that a worker has sent."""
    import logging

    record = logging.makeLogRecord(dict(fields))
    logger = logging.getLogger(record.name)
    if not logger.isEnabledFor(record.levelno):
        return
    try:
        logger.handle(record)
    except Exception:
        # Somebody's own handler. It would have failed an item; here there is none.
        logging.Handler().handleError(record)
