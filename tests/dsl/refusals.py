"""What every refusal must have, and a look at what it says."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import pytest

from conveyor import ConstructionError, ConveyorError
from conveyor.dsl.rules import RULES


def refused(write: Callable[[], object], rule: str | None = None) -> SimpleNamespace:
    """What is said to `write`, a lambda on one line, which must be refused at that line."""
    with pytest.raises(ConstructionError) as caught:
        write()
    error = caught.value
    assert isinstance(error, (ConveyorError, TypeError))
    message = str(error)
    assert set(error.rules) <= RULES.keys()
    assert error.rule == error.rules[0]
    assert rule is None or error.rule == rule, message
    code = write.__code__
    assert f"at {code.co_filename}:{code.co_firstlineno}" in message
    told = SimpleNamespace(error=error, message=message, rules=error.rules, **_parts(message))
    assert len(told.marked) == len(told.hints) == len(error.rules)
    assert all(told.marked), message
    assert all(told.hints), message
    return told


def _parts(message: str) -> dict[str, list[str]]:
    """The expressions, what is marked in them, and the hints."""
    shown, marked, hints = [], [], []
    lines = message.splitlines()
    for before, line in pairwise(lines):
        if found := re.fullmatch(r"    ( *)(\^+)", line):
            start = 4 + len(found[1])
            shown.append(before[4:])
            marked.append(before[start : start + len(found[2])])
            hints.append("")
        elif hints and re.match(r"  [^ ]", line) and not line.startswith(("  [rule:", "  at ")):
            hints[-1] += line.strip() + "\n"
    return {"shown": shown, "marked": marked, "hints": hints}
