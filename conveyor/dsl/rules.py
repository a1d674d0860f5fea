"""The construction rules: one table of codes, and the error that tells them.

What checks a rule lives where the rule can be broken; what it says is said here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from conveyor.dsl.site import Site, caller
from conveyor.errors import ConstructionError

RULES = {
    "element-type": "all elements of a pipeline are Conveyor types",
    "start": "a pipeline starts with a processor",
    "source-first": "a Source or a Feed stands only at the start",
    "pipe": "pipes stand between processors, and before every fork and join",
    "fork-width": "a fork has at least one branch",
    "mixed-fork": "a fork of one kind is no bare left operand of the other",
    "join": "a join needs an open fork on its left",
    "zip": "a zip join closes replicated forks only",
    "types": "what a processor takes must accept what it is given",
}
"""Every rule by its code, as in ``ConstructionError.rule``; of ``"pipe"`` there is a warning."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule.

    Attributes:
        rule: a code of :data:`RULES`.
        message: what is wrong, in a sentence.
        hint: how to mend it, one or more lines.
        text: the expression, on one line.
        span: the columns of ``text`` that are wrong: the first, and the one behind the last.
    """

    rule: str
    message: str
    hint: str
    text: str
    span: tuple[int, int]

    def __str__(self) -> str:
        text, start, end = _clip(self.text, *self.span)
        text = re.sub(r"\s", " ", text)  # a user's repr may have many lines
        lines = [self.message, f"    {text}", "    " + " " * start + "^" * max(end - start, 1)]
        lines += [f"  {line}" for line in self.hint.splitlines()]
        lines.append(f"  [rule: {self.rule}]")
        return "\n".join(lines)


class Broken(Exception):
    """A rule was found broken where the written expression is not known; caught and retold.

    Attributes:
        rule, message, hint: as in :class:`Fault`.
        culprit: the element that breaks the rule, by identity, where it is one.
        side: the operand that it is to be looked for in first, "left" or else "right".
    """

    def __init__(self, rule: str, message: str, hint: str, culprit: object = None) -> None:
        super().__init__(rule, message, hint)
        self.rule = rule
        self.message = message
        self.hint = hint
        self.culprit = culprit
        self.side = ""

    def at(self, text: str, span: tuple[int, int]) -> Fault:
        """This as a fault in the written expression."""
        return Fault(self.rule, self.message, self.hint, text, span)


def refuse(faults: Sequence[Fault], site: Site) -> NoReturn:
    """Raise one error that tells all ``faults``, each of them once.

    Raises:
        ConstructionError: always.
    """
    faults = [*dict.fromkeys(faults)]  # both branches of a fork may break a rule in the same way
    told = [str(fault) for fault in faults]
    if len(told) == 1:
        message = told[0]
    else:
        message = f"{len(told)} rules are broken\n" + "\n".join(
            f"{number}. {text}" for number, text in enumerate(told, 1)
        )
    raise ConstructionError(f"{message}\n  at {site}", tuple(fault.rule for fault in faults))


def refuse_element(text: str, message: str, hint: str) -> NoReturn:
    """Refuse what is no element, or no whole one, as it is made.

    Raises:
        ConstructionError: always.
    """
    refuse([Fault("element-type", message, hint, text, (0, len(text)))], caller()[0])


_WIDTH = 100


def _clip(text: str, start: int, end: int) -> tuple[str, int, int]:
    """Cut a long expression down to the part around the mark."""
    if len(text) <= _WIDTH:
        return text, start, end
    left = max(0, min(start - _WIDTH // 2, len(text) - _WIDTH))
    cut = text[left : left + _WIDTH]
    before, behind = ("... " if left else ""), (" ..." if left + _WIDTH < len(text) else "")
    offset = len(before) - left
    return before + cut + behind, start + offset, min(end + offset, len(before) + len(cut))
