"""What the outcome of an accident is, and how it is told in a few words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.accidents.deeds import ACCIDENTS, STAGE, VICTIM, Accident
from benchmarks.accidents.notes import Note
from benchmarks.accidents.watch import Seen

Verdict = Literal["right", "error", "silent", "lost", "left", "hung", "grows", "failed"]

GROWTH = 1.25
"""How much more may be in flight at the end of an endless stream than when half of it is over."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an accident.

    Attributes:
        verdict: "right": as it should be, with every item there or set aside by name; "error": an
            exception reached the caller; "silent": the caller's program ended without a word;
            "lost": it ended as if all were well, with items missing; "left": processes or shared
            memory were left behind; "hung": nothing came until the limit; "grows": more and more
            was taken in; "failed": the contestant did not get as far as the accident.
        seconds: from the accident until the caller knew, or had left.
        error: the type of the exception.
        names: what the exception's text names of "item" and "stage".
        lost: how many items are missing in what ended as if all were well.
        aside: how many were set aside.
        left: how many processes outlived the caller's.
        shared: how many names of shared memory did.
        in_flight: what an endless stream had taken in and not given, at the end.
        never_ended: whether the caller's process did not end by itself, though it knew.
        told: the last line of what was told.
    """

    verdict: Verdict
    seconds: float | None = None
    error: str = ""
    names: tuple[str, ...] = ()
    lost: int = 0
    aside: int = 0
    left: int = 0
    shared: int = 0
    in_flight: int = 0
    never_ended: bool = False
    told: str = ""

    def __str__(self) -> str:
        """A few words, as they stand in the table."""
        words = {
            "right": "right",
            "error": " and ".join(self.names) if self.names else "error, no names",
            "silent": "ENDS SILENTLY",
            "lost": f"LOSES {self.lost}",
            "left": "ends",
            "hung": "HANGS",
            "grows": f"GROWS: {self.in_flight:,}",
            "failed": "failed",
        }[self.verdict]
        if self.aside:
            words = f"goes on, {self.aside} aside"
        if self.seconds is not None:
            words += f", {self.seconds:.2f} s"
        if self.never_ended:
            words += ", then HANGS"
        if self.left:
            words += f", {self.left} LEFT"
        if self.shared:
            words += f", {self.shared} in /dev/shm"
        return words


def outcome(name: str, seen: Seen) -> Outcome:
    """Judge what was seen of the accident of that name."""
    accident = ACCIDENTS[name]
    if accident.ending == "endless":
        return _flow(seen)
    struck = _at(seen.notes, "struck")
    if struck is None:
        return Outcome("failed", told=_last_line(seen.errors))
    if accident.ending == "all":
        return _told(accident, struck, seen)
    # The caller has left when its process has ended.
    if seen.ended is None:
        return Outcome("hung")
    seconds = None if accident.ending == "kill" else seen.ended - struck
    known = Outcome("left" if seen.left or seen.shared else "right", seconds)
    return replace(known, left=seen.left, shared=seen.shared)


def _at(notes: list[Note], kind: str) -> float | None:
    return next((one["at"] for one in notes if one["kind"] == kind), None)


def _told(accident: Accident, struck: float, seen: Seen) -> Outcome:
    """What the caller got to know of it."""
    for one in seen.notes:
        if one["kind"] == "told":
            known = _error(one)
        elif one["kind"] == "done":
            known = _done(accident, one, seen.notes)
        else:
            continue
        return replace(
            known,
            seconds=one["at"] - struck,
            left=seen.left,
            shared=seen.shared,
            never_ended=seen.ended is None,
        )
    if seen.ended is None:
        return Outcome("hung")
    return Outcome("silent", seen.ended - struck, left=seen.left, shared=seen.shared)


def _error(told: Note) -> Outcome:
    text, error = told["text"], told["error"]
    # A script that this reaches ends, and prints nothing.
    verdict: Verdict = "silent" if error == "SystemExit" else "error"
    names = tuple(what for what, name in (("item", VICTIM), ("stage", STAGE)) if name in text)
    return Outcome(verdict, error=error, names=names, told=_last_line(text))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else ""


def _done(accident: Accident, done: Note, notes: list[Note]) -> Outcome:
    """It ended as if all were well: are all pages there, or set aside?"""
    aside = len(done["aside"])
    lost = accident.pages - aside - sum(one["kind"] == "came" for one in notes)
    right = lost == 0 and (accident.may_finish or aside == 1)
    return Outcome("right" if right else "lost", lost=lost, aside=aside)


def _flow(seen: Seen) -> Outcome:
    """Whether what is taken in and not given stays about the same."""
    looks = [one for one in seen.notes if one["kind"] == "flow"]
    if not looks or not looks[-1]["came"]:
        taken = looks[-1]["taken"] if looks else 0
        return Outcome("grows" if taken else "hung", in_flight=taken)
    middle, end = (one["taken"] - one["came"] for one in (looks[len(looks) // 2 - 1], looks[-1]))
    return Outcome("grows" if end > GROWTH * middle else "right", in_flight=end)
