"""A balanced fork by demand: nothing waits for a branch at work while another one has nothing."""

from __future__ import annotations

import time

import pytest

from conveyor import Feed, Processor, Source
from conveyor.engines.processes.way_in import WayInEnd
from conveyor.flow.batch import Frame
from conveyor.plan.make import make

PATIENCE = 20.0


class Steps(Source[str]):
    """Gives items, each when the one before is in work: the names of their marks."""

    def __init__(self, folder, items):
        self.folder, self.items = folder, items

    def generate(self):
        for item in self.items:
            yield item
            wait_for(self.folder / f"begun {item}")


class Waits(Processor[str, tuple[str, bool]]):
    """Works on an item up to a mark; tells whether that came."""

    def __init__(self, folder, until, longer=0.0):
        self.folder, self.until, self.longer = folder, until, longer

    def process(self, item):
        (self.folder / f"begun {item}").touch()
        came = item not in self.until or wait_for(self.folder / self.until[item])
        time.sleep(self.longer)
        (self.folder / f"done {item}").touch()
        return item, came


class Passes(Processor[str, str]):
    """Stands before the fork, and hears of it while the source waits."""

    def process(self, item):
        return item


def wait_for(mark):
    """Whether a file is there, soon."""
    until = time.monotonic() + PATIENCE
    while not mark.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


@pytest.mark.parametrize("options", [{}, {"restarts": 1}], ids=["plain", "restartable"])
def test_an_item_goes_to_the_branch_that_has_nothing_to_do(tmp_path, options):
    work = Waits(tmp_path, {"long": "done short"}).options(**options)
    pipeline = Steps(tmp_path, ["long", "short"]) >> Passes() >> work % 2
    assert sorted(pipeline.run()) == [("long", True), ("short", True)]


class Follows(Steps):
    """Gives a last item when the others are in work, and lets one of these end then."""

    def generate(self):
        yield from super().generate()
        (self.folder / "last is near").touch()
        yield "last"


@pytest.mark.parametrize("options", [{}, {"restarts": 1}], ids=["plain", "restartable"])
def test_an_item_waits_for_the_first_branch_that_is_done(tmp_path, options):
    until = {"long": "done last", "short": "last is near"}
    # A little longer, so that a fork which does not wait has the time to be wrong.
    work = Waits(tmp_path, until, longer=0.05).options(**options)
    pipeline = Follows(tmp_path, ["long", "short"]) >> Passes() >> work % 2
    assert sorted(pipeline.run()) == [("last", True), ("long", True), ("short", True)]


class Link:
    """The lower end of a channel; it counts the credit that it gives back."""

    def __init__(self):
        self.granted, self.is_closed = 0, False

    def grant(self, service, due):
        assert not self.is_closed
        self.granted += 1

    def close(self):
        self.is_closed = True


def branch():
    """What reads the frames of a branch of a balanced fork, and the link that they come by."""
    plan = make((Feed() >> Processor(abs) % 2).compile(), ordered=False, processes=None, cores=1)
    planned = plan.workers[1]
    (channel,) = planned.way_in.channels
    end, link = WayInEnd(planned.element, planned.way_in, plan.channels), Link()
    end.attach(channel, link)
    return end, link, channel


def test_credit_goes_back_when_the_next_is_taken_or_there_is_none():
    end, link, channel = branch()
    for number in range(3):
        end.receive(channel, Frame((number * 2,), [number]))
    granted = []
    for _ in range(3):
        end.take()
        granted.append(link.granted)
    end.settle()
    assert [*granted, link.granted] == [0, 1, 2, 3]
    end.settle()
    assert link.granted == 3


def test_a_link_that_is_laid_anew_gives_nothing_back_for_the_one_before():
    end, link, channel = branch()
    end.receive(channel, Frame((0,), ["item"]))
    end.take()
    end.loosen(channel)
    end.attach(channel, other := Link())
    end.settle()
    assert (link.granted, other.granted) == (0, 0)
