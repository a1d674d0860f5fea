"""All outcomes for people: a table, who does better than Conveyor, and the page that shows both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.accidents.deeds import ACCIDENTS
from benchmarks.accidents.newcomers import NEWCOMERS
from benchmarks.accidents.outcome import Outcome

Outcomes = Mapping[str, Mapping[str, Outcome]]
"""By the name of the accident, and by that of the contestant."""

OURS = "conveyor"

BEST_FIRST = ("right", "error", "silent", "left", "grows", "lost", "hung")
"""What is better than what: to know is better than to wait, and than to be told what is not so."""

NOTICEABLE = 0.05
"""Seconds by which one is told sooner than another."""


def rows(outcomes: Outcomes) -> list[list[str]]:
    """The table: a row for each accident, a column for each contestant."""
    names = [name for name in NEWCOMERS if any(name in of for of in outcomes.values())]
    table = [["", *names]]
    for name, accident in ACCIDENTS.items():
        if name in outcomes:
            cells = [str(outcomes[name].get(one, "-")) for one in names]
            table.append([accident.title, *cells])
    return table


def behind(outcomes: Outcomes) -> Iterator[str]:
    """Where others do better than Conveyor with no setting, or as well and sooner."""
    for name, of in outcomes.items():
        if (ours := of.get(OURS)) is None:
            continue
        better = [
            f"{one} ({theirs})"
            for one, theirs in of.items()
            if not one.startswith(OURS) and theirs.verdict != "failed" and _beats(theirs, ours)
        ]
        if better:
            yield f"- {ACCIDENTS[name].title}: Conveyor {ours}; {'; '.join(better)}"


def _beats(one: Outcome, other: Outcome) -> bool:
    ranks = [_rank(outcome) for outcome in (one, other)]
    if ranks[0] != ranks[1]:
        return ranks[0] < ranks[1]
    if one.seconds is None or other.seconds is None:
        return False
    return one.seconds < other.seconds - NOTICEABLE


def _rank(outcome: Outcome) -> tuple[bool, int, int]:
    """Less is better."""
    leaves = bool(outcome.left or outcome.shared) or outcome.never_ended
    return leaves, BEST_FIRST.index(outcome.verdict), -len(outcome.names)
