"""Accidents are met, judged by what was seen of them, and told in a table."""

from __future__ import annotations

import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are not beside the tests")

from benchmarks import report
from benchmarks.accidents import __main__ as command
from benchmarks.accidents import table
from benchmarks.accidents.deeds import ACCIDENTS, PAGES, VICTIM
from benchmarks.accidents.newcomers import NEWCOMERS
from benchmarks.accidents.outcome import Outcome, outcome
from benchmarks.accidents.watch import Seen, watch

pytestmark = pytest.mark.quick

PATIENT = 120
"""Seconds that only keep a hang from lasting."""


def met(contestant, accident):
    return outcome(accident, watch(contestant, accident, PATIENT))


def test_a_death_is_told_with_stage_and_item():
    came = met("conveyor", "exits")
    assert (came.verdict, came.error, came.names) == ("error", "WorkerDied", ("item", "stage"))
    assert (came.left, came.never_ended) == (0, False)


def test_with_restarts_a_death_costs_one_item():
    came = met("conveyor, restarts", "exits")
    assert (came.verdict, came.lost, came.aside, came.left) == ("right", 0, 1, 0)


def test_a_caller_that_is_killed_leaves_nothing():
    assert met("conveyor", "caller-killed-stuck") == Outcome("right")


def test_what_hangs_and_what_is_left_is_seen_and_ended():
    """A pool loses the item of a worker that was killed, and waits for it."""
    seen = watch("Pool.imap", "killed", limit=0.2)
    assert outcome("killed", seen) == Outcome("hung")
    assert seen.ended is None


# -- what was seen, and what it is --


def noted(*notes):
    return [{"kind": kind, "at": at, **more} for kind, at, more in notes]


def came(number):
    return [("came", 0.5, {"page": str(page)}) for page in range(number)]


STRUCK = ("struck", 1.0, {})


def judged(name, *notes, ended=9.0, left=0, shared=0, errors=""):
    return outcome(name, Seen(noted(*notes), ended, left, shared, errors))


def test_an_error_is_worth_what_it_names():
    told = ("told", 1.5, {"error": "ValueError", "text": f"in read_page: {VICTIM}"})
    assert str(judged("raises", STRUCK, told)) == "item and stage, 0.50 s"
    told[2]["text"] = "no title"
    assert str(judged("raises", STRUCK, told, left=2)) == "error, no names, 0.50 s, 2 LEFT"
    assert str(judged("raises", STRUCK, told, ended=None)) == "error, no names, 0.50 s, then HANGS"


def test_a_program_that_ends_without_a_word_is_no_error():
    told = ("told", 1.5, {"error": "SystemExit", "text": "SystemExit: 3"})
    assert str(judged("sys-exit", STRUCK, told)) == "ENDS SILENTLY, 0.50 s"
    assert str(judged("sys-exit", STRUCK, ended=2.0)) == "ENDS SILENTLY, 1.00 s"


def test_items_that_are_missing_are_lost_unless_they_were_set_aside():
    done = ("done", 1.5, {"aside": []})
    assert judged("raises", STRUCK, *came(PAGES - 1), done).lost == 1
    assert str(judged("raises", STRUCK, *came(PAGES - 1), done)) == "LOSES 1, 0.50 s"
    done[2]["aside"] = [VICTIM]
    assert str(judged("raises", STRUCK, *came(PAGES - 1), done)) == "goes on, 1 aside, 0.50 s"
    done[2]["aside"] = []
    assert str(judged("killed", STRUCK, *came(PAGES), done)) == "right, 0.50 s"


def test_who_leaves_has_left_when_the_process_has_ended():
    assert str(judged("left", STRUCK, ended=1.25)) == "right, 0.25 s"
    assert str(judged("left", STRUCK, ended=None)) == "HANGS"
    assert str(judged("caller-killed", STRUCK, left=3)) == "ends, 3 LEFT"
    assert str(judged("caller-killed", STRUCK, shared=9)) == "ends, 9 in /dev/shm"


def test_what_is_in_flight_may_not_grow():
    def flow(*in_flight):
        return [("flow", 0.0, {"taken": more + 100, "came": 100}) for more in in_flight]

    assert judged("endless", *flow(10, 40, 40, 41)) == Outcome("right", in_flight=41)
    assert str(judged("endless", *flow(10, 1000, 2000, 3000))) == "GROWS: 3,000"
    never = ("flow", 0.0, {"taken": 5, "came": 0})
    assert judged("endless", never).verdict == "grows"


def test_what_does_not_get_as_far_as_the_accident_has_failed():
    failed = judged("raises", errors="Traceback ...\nImportError: no such thing\n")
    assert (str(failed), failed.told) == ("failed", "ImportError: no such thing")


# -- how it is told --


def test_where_others_do_better_is_said():
    def beside(*theirs):
        ours = Outcome("error", 0.2, names=("item", "stage"))
        return [*table.behind({"raises": {"conveyor": ours, **dict(enumerate_names(theirs))}})]

    def enumerate_names(theirs):
        return ((f"peer {number}", one) for number, one in enumerate(theirs))

    assert beside(Outcome("hung"), Outcome("error", 0.01, names=("stage",))) == []
    (line,) = beside(Outcome("right", 3.0), Outcome("error", 0.01, names=("item", "stage")))
    assert line == (
        "- the function raises: Conveyor item and stage, 0.20 s; peer 0 (right, 3.00 s); "
        "peer 1 (item and stage, 0.01 s)"
    )


def test_the_page_shows_what_is_kept(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n")
    command.write_page(page=page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    for accident in ACCIDENTS.values():
        assert f"| {accident.title} |" in text
    assert all(name in text for name in NEWCOMERS)
