"""Forks that follow the load, with real processes: they grow, shrink, and lose nothing.

What is waited for are the events themselves: a worker that begins, and one that clears up.
Without them the items would never end.
"""

from __future__ import annotations

import itertools
import os
import signal
import time

import numpy as np
import pytest

from conveyor import AUTO, Auto, Feed, Join, Pipe, Processor, Source, WorkerDied
from conveyor.engines.processes import planning


@pytest.fixture
def cores(monkeypatch):
    """Sets the number of cores that the engine sees; the workers here sleep rather than work."""

    def there_are(number):
        monkeypatch.setattr(planning, "physical_cores", lambda: number)

    return there_are


class Work(Processor):
    """Takes as many milliseconds as the item says; notes in a folder who began and who left."""

    def __init__(self, folder):
        self.folder = folder
        self.items = 0

    def setup(self):
        (self.folder / f"began {os.getpid()}").touch()

    def process(self, item):
        time.sleep(item / 1000)
        return item

    def teardown(self):
        (self.folder / f"left {os.getpid()}").touch()


class Count(Work):
    """Gives the number of its items, at the end."""

    def process(self, item):
        super().process(item)
        self.items += 1

    def finish(self):
        return self.items


def noted(folder, what):
    return len(list(folder.glob(f"{what} *")))


def busy_until(happened, milliseconds=2):
    """Items that are work, until something has happened."""
    while not happened():
        yield milliseconds


def idle_until(happened):
    """Items that are no work, and few, until something has happened."""
    while not happened():
        time.sleep(0.001)
        yield 0


def counting(items, pulled):
    for item in items:
        pulled.append(item)
        yield item


def widths(results, fork="fork"):
    return [one.width for one in results.stats.widths[fork]]


def test_a_fork_gets_narrower_when_it_idles_and_wider_when_it_stalls(cores, tmp_path):
    cores(8)
    items = itertools.chain(
        idle_until(lambda: noted(tmp_path, "left")),
        busy_until(lambda: noted(tmp_path, "began") == 4),
    )
    pulled = []
    pipeline = Feed() >> Work(tmp_path) % Auto(min=2, max=3)
    results = pipeline.run(counting(items, pulled), ordered=True)

    assert list(results) == pulled
    assert widths(results) in ([3, 2, 3], [3, 2]), "the last worker may have come too late"
    first, narrower, *_ = results.stats.widths["fork"]
    assert "share of the cores" in first.reason
    assert "its workers waited" in narrower.reason
    assert 0 == first.since < narrower.since <= results.stats.elapsed
    assert results.stats["work"].items_in == len(pulled)


def explode(folder):
    yield from itertools.islice(busy_until(lambda: noted(folder, "began") == 2), 3000)


def test_a_fork_gets_wider_for_what_comes_of_the_last_item(cores, tmp_path):
    cores(1)
    results = (Feed() >> Processor(explode) >> Work(tmp_path) % Auto(max=2)).run([tmp_path])

    assert widths(results)[:2] == [1, 2]


def test_what_a_branch_has_gathered_arrives_when_it_leaves(cores, tmp_path):
    cores(3)
    pulled = []
    items = idle_until(lambda: noted(tmp_path, "left") == 2)
    results = (Feed() >> Count(tmp_path) % AUTO).run(counting(items, pulled))

    assert widths(results)[:2] in ([3, 1], [3, 2])
    assert len(results) == 3
    assert sum(results) == len(pulled)


class Enlarge(Work):
    """Makes large arrays, and keeps the last one that it was given and that it gave."""

    def process(self, item):
        number, milliseconds = item[0], item[1]
        super().process(milliseconds)
        self.kept = item, np.full(9_000, number)
        return self.kept[1]


def test_large_items_stay_as_they_are_when_workers_leave_and_come(cores, tmp_path):
    cores(8)
    times = itertools.chain(
        idle_until(lambda: noted(tmp_path, "left")),
        busy_until(lambda: noted(tmp_path, "began") == 4),
        [2] * 50,
    )
    items = (np.resize(pair, 9_000) for pair in enumerate(times))
    results = (Feed() >> Enlarge(tmp_path) % Auto(min=2, max=3)).run(items, ordered=True)

    assert all((array == number).all() for number, array in enumerate(results))
    assert noted(tmp_path, "began") == 4


def test_of_two_forks_the_heavy_one_gets_the_cores(cores, tmp_path):
    cores(4)
    heavy, light = tmp_path / "heavy", tmp_path / "light"
    heavy.mkdir()
    light.mkdir()
    pulled = []
    items = busy_until(lambda: noted(heavy, "began") == 4 and noted(light, "left"))
    pipeline = (
        Feed() >> Pipe(capacity=8) >> Weigh(light) % AUTO & Work(heavy) % AUTO & Join("ordered")
    )
    results = pipeline.run(counting(items, pulled), ordered=True)

    assert list(results) == pulled
    assert widths(results, "fork") == [2, 1]
    assert widths(results, "fork.2")[0] == 2
    assert widths(results, "fork.2")[-1] == 4
    (wider, *_) = results.stats.widths["fork.2"][1:]
    assert "waited for room" in wider.reason
    assert "free" in wider.reason


class Weigh(Work):
    def process(self, item):
        return item


def test_a_warm_pipeline_keeps_its_widths(cores, tmp_path):
    cores(2)
    with (Feed() >> Work(tmp_path) % AUTO).open() as warm:
        assert widths(warm.run(idle_until(lambda: noted(tmp_path, "left")))) == [2, 1]
        results = warm.run([1, 2, 3])
    (kept,) = results.stats.widths["fork"]

    assert (kept.width, kept.since) == (1, 0)
    assert "the run before" in kept.reason
    assert list(results) == [1, 2, 3]


class Walk(Source):
    """Gives items until a worker has left."""

    def __init__(self, folder):
        self.folder = folder

    def generate(self):
        yield from idle_until(lambda: noted(self.folder, "left"))
        yield from range(3)


def test_a_source_in_its_own_process_ends_after_all_that_comes_and_goes(cores, tmp_path):
    cores(3)
    with (Walk(tmp_path) >> Count(tmp_path) % AUTO & Processor(abs)).open() as warm:
        runs = [warm.run() for _ in range(2)]

    assert [sum(run) for run in runs] == [run.stats["walk"].items_out for run in runs]
    assert widths(runs[1])[0] == widths(runs[0])[-1] < 3


def test_the_stats_have_one_row_for_what_was_written_once(cores):
    cores(4)
    stats = (Feed() >> Processor(abs).options(name="work") % AUTO).run(range(50)).stats

    assert list(stats) == ["feed", "fork", "work", "output"]
    assert stats["work"].items_in == 50
    assert stats.to_dict()["widths"]["fork"][0]["width"] == 4
    assert "fork: 4 wide from 0.000 s" in str(stats)


@pytest.mark.parametrize(
    ("how", "width", "why"),
    [
        ({"processes": 2}, 4, "processes=2 is set"),
        ({"engine": "inline"}, 1, "one item at a time"),
    ],
)
def test_where_it_can_not_follow_the_load_the_history_says_why(cores, how, width, why):
    cores(4)
    ((only,),) = (Feed() >> Processor(abs) % Auto(max=9)).run([1], **how).stats.widths.values()
    assert (only.since, only.width) == (0.0, width)
    assert why in only.reason


def test_a_fork_with_one_width_says_so_in_each_run(cores):
    cores(1)
    with (Feed() >> Processor(abs) % Auto(2, 2) % 1 & Processor(abs) % AUTO).open() as live:
        for _ in range(2):
            first, second = live.run([1]).stats.widths.values()
            assert [(one.width, one.reason) for one in (*first, *second)] == [
                (2, "fixed: its bounds are equal"),
                (1, "fixed: there are no more cores"),
            ]


def test_workers_that_wait_for_something_else_may_be_more_than_the_cores(cores, tmp_path):
    cores(2)
    pipeline = Feed() >> Work(tmp_path) % Auto(min=2, max=6)
    # Long ones: however slow the machine is, they take longer than to come.
    results = pipeline.run(busy_until(lambda: noted(tmp_path, "began") == 6, milliseconds=20))

    assert widths(results)[0] == 2
    assert "free" in results.stats.widths["fork"][1].reason


# -- what may go wrong --


def began(folder):
    """The number of the worker, in the order in which they began."""
    number = 0
    while True:
        try:
            (folder / f"began {number}").touch(exist_ok=False)
            return number
        except FileExistsError:
            number += 1


class Late(Work):
    """Does something terrible in a worker that is attached while all runs."""

    def setup(self):
        if began(self.folder) >= 1:
            self.act()

    def act(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Stuck(Late):
    def act(self):
        (self.folder / "stuck").touch()
        time.sleep(600)


class Fatal(Work):
    def finish(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Leaving(Work):
    def teardown(self):
        os.kill(os.getpid(), signal.SIGKILL)


def growing(stage):
    """A pipeline that begins with one such worker, and stalls."""
    return Feed() >> Pipe(capacity=8) >> Processor(abs) % AUTO & stage % AUTO


def test_a_worker_that_dies_while_it_is_attached_is_named(cores, tmp_path):
    cores(3)
    with pytest.raises(WorkerDied) as caught:
        growing(Late(tmp_path)).run(itertools.repeat(5))
    assert (caught.value.stage, caught.value.item) == ("late", None)


@pytest.mark.parametrize("stage", [Fatal, Leaving])
def test_a_worker_that_dies_while_it_leaves_is_named(cores, tmp_path, stage):
    cores(2)
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> stage(tmp_path) % AUTO).run(idle_until(lambda: False))
    assert (caught.value.stage, caught.value.item) == (stage.__name__.lower(), None)


def test_a_run_that_is_left_while_a_worker_is_attached_leaves_nothing(cores, tmp_path):
    cores(3)
    for _ in growing(Stuck(tmp_path)).stream(itertools.repeat(5)):
        if (tmp_path / "stuck").exists():
            break


def test_a_run_does_not_wait_for_a_worker_that_is_being_attached(cores, tmp_path):
    cores(3)
    items = busy_until((tmp_path / "stuck").exists)
    assert set(growing(Stuck(tmp_path)).run(items)) == {2}
