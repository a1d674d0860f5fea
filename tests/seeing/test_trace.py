"""The trace of a run: it is well-formed, says what happened, and disturbs nothing."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter

import pytest

from conveyor import AUTO, Feed, Join, Pipe, Processor, Source, StageError, UsageError
from conveyor.engines import tape as tapes
from conveyor.engines.tape import Tape
from conveyor.flow.batch import Frame
from conveyor.flow.source import MOST_ITEMS
from tests.seeing.trace_format import read


class Double(Processor[int, int]):
    def process(self, number):
        return 2 * number


class Thrice(Processor[int, int]):
    def process(self, number):
        yield from (number, number, number)


class Odd(Processor[int, int]):
    def process(self, number):
        return number if number % 2 else None


class Slow(Processor[int, int]):
    def process(self, number):
        time.sleep(0.002)
        return number


class Total(Processor[int, int]):
    def setup(self):
        self.total = 0

    def process(self, number):
        self.total += number

    def finish(self):
        return self.total


class Fail(Processor[int, int]):
    def process(self, number):
        if number == 50:
            raise ValueError("no fifty")
        return number


PIPELINES = {
    "a chain": lambda: Double() >> Odd() >> Total(),
    "a source": lambda: Source(range(100)) >> Double(),
    "a zip": lambda: Double() >> Odd() * Double() & Join("zip") >> Processor(sum),
    "an ordered join": lambda: Double() >> (Thrice() * Pipe()) & Join("ordered") >> Double(),
    "a mesh": lambda: Feed() >> Slow() % 2 & Double() % 2 & Total(),
    "a fork in a fork": lambda: Double() >> (Double() % 2 & Odd()) * Thrice() & Double(),
    "a fork that follows the load": lambda: Double() >> Slow() % AUTO & Double(),
    "a fork with no join": lambda: Feed() >> Slow() * Double(),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_trace_is_well_formed_and_changes_no_output(name, on, tmp_path):
    pipeline = PIPELINES[name]()
    items = () if name == "a source" else (range(100),)
    path = tmp_path / "run.json"

    outputs = pipeline.run(*items, trace=path, **on)

    assert Counter(outputs) == Counter(pipeline.run(*items, engine="inline"))
    trace = read(path)
    assert {one.track for one in trace.slices} >= {
        node.id for node in pipeline.compile().processors if node.kind != "feed"
    }
    assert [one.name for one in tmp_path.iterdir()] == ["run.json"]


def test_every_worker_has_a_track_in_its_own_process(tmp_path):
    (Double() >> Slow() % 2 & Total()).run(range(40), trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    assert sorted(trace.processes.values()) == [
        "caller: feed, output",
        "pipes and forks",
        "worker: double",
        "worker: slow",
        "worker: slow.2",
        "worker: total",
    ]
    assert trace.processes[os.getpid()] == "caller: feed, output"


def test_all_items_are_in_the_batches_of_each_track(tmp_path):
    (Double() >> Double() % 2 & Double()).run(range(500), trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    for tracks in (["feed"], ["double"], ["double.2", "double.3"], ["double.4"], ["output"]):
        batches = [one for track in tracks for one in trace.of(track)]
        assert sum(dict(one.args)["items"] for one in batches) == 500


def test_arrows_follow_each_batch_through_forks_and_joins(tmp_path):
    pipeline = Double() >> Odd() * Thrice() & Join("ordered") >> Double()
    pipeline.run(range(300), trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    assert all(source.name == target.name for source, target in trace.arrows)
    ways, batches = trace.ways(), len(trace.of("double"))
    assert set(ways) == {
        ("feed", "double"),
        ("double", "odd"),
        ("double", "thrice"),
        ("odd", "double.2"),
        ("thrice", "double.2"),
        ("double.2", "output"),
    }
    assert ways["double", "odd"] == ways["double", "thrice"] == batches


def test_a_batch_comes_from_the_branch_that_it_took(tmp_path):
    """A way past all workers of a fork carries the same batches as the branch beside it."""
    pipeline = Double() >> (Slow() * Pipe()) & Odd()
    pipeline.run(range(60), trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    into = Counter(target for _, target in trace.arrows if target.track == "odd")
    assert set(into.values()) == {1}
    through = {source for source, target in trace.arrows if target.track == "odd"}
    assert {one for one in through if one.track == "slow"} == set(trace.of("slow"))
    assert {one.track for one in through} == {"slow", "double"}


@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_the_setup_of_a_worker_is_shown_in_the_first_run_only(engine, tmp_path):
    with (Double() >> Total()).open(engine=engine) as live:
        live.run(range(10), trace=tmp_path / "first.json")
        live.run(range(10))
        live.run(range(10), trace=tmp_path / "third.json")

    first, third = read(tmp_path / "first.json"), read(tmp_path / "third.json")
    assert len(first.of("total", "setup")) == 1
    assert third.of("total", "setup") == []
    assert third.of("total") != []


def test_slow_items_of_a_batch_have_slices_of_their_own(tmp_path):
    class Uneven(Processor[int, int]):
        def process(self, number):
            until = time.perf_counter() + 2e-5  # else batches may be too large for times
            while time.perf_counter() < until:
                pass
            if number % 500 == 499:
                time.sleep(0.02)
            return number

    (Feed() >> Uneven()).run(range(5000), trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    items = trace.of("uneven", "item") + trace.of("uneven", "items")
    assert items
    assert all(one.end - one.start >= 1000 for one in items)


def test_among_cheap_items_a_slow_one_shares_a_slice_with_its_neighbours(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(tapes, "perf_counter_ns", lambda: next(clock))
    tape = Tape(0)

    def answer():
        nonlocal clock
        for index, item in tape.marks([0, 1]).by_stride(range(200), 0):
            assert index == item
            if item == 70:
                clock = itertools.count(next(clock) + tapes.SLOW)
        yield True

    assert list(tape.over(Frame((2,), list(range(200))), answer()))
    slow = [span for span in tape.spans if span.kind in {"item", "items"}]
    assert [(span.kind, span.items) for span in slow] == [("items", tapes.TOGETHER)]


def test_counters_show_what_waits_and_end_at_nothing(tmp_path):
    (Double() >> Slow()).run(range(60), trace=tmp_path / "run.json")

    waiting = read(tmp_path / "run.json").counters["waiting for slow"]
    assert max(items for _, items in waiting) > 1
    assert waiting[-1][1] == 0


def test_a_counter_shows_the_width_of_a_fork_that_follows_the_load(tmp_path):
    results = (Feed() >> Slow() % AUTO).run(range(100), trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    (name,) = (name for name in trace.counters if name.startswith("width"))
    widths = [width for _, width in trace.counters[name]]
    assert widths == [one.width for one in results.stats.widths["fork"]]


def test_one_that_waits_for_room_says_so(tmp_path):
    (Double() >> Pipe(capacity=1) >> Slow()).run(range(100), trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    assert [one.name for one in trace.of("double", "blocked")][:1] == ["waits for room"]


def test_a_run_that_fails_still_has_its_trace(on, tmp_path):
    with pytest.raises(StageError, match="no fifty"):
        (Double() >> Pipe(capacity=1) >> Fail()).run(range(100), trace=tmp_path / "run.json", **on)

    trace = read(tmp_path / "run.json")
    assert trace.of("double")
    assert trace.of("fail")
    (failure,) = trace.instants
    assert failure["name"] == "StageError"
    assert "no fifty" in failure["args"]["error"]


def test_a_stream_that_is_left_has_its_trace(on, tmp_path):
    outputs = Double().stream(iter(int, 1), trace=tmp_path / "run.json", **on)
    # More than a batch has: a worker that is stopped just as it is done with the first one may not
    # have put that down yet, though its outputs are here. It has by the time of the second.
    for _ in itertools.islice(outputs, MOST_ITEMS + 1):
        pass
    outputs.close()

    trace = read(tmp_path / "run.json")
    assert trace.of("double")
    assert trace.instants == []


def test_a_trace_takes_the_place_of_the_one_before(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("old")
    Double().run([1], engine="inline", trace=str(path))

    assert len(read(path).of("double")) == 1


class NeverSetUp(Processor[int, int]):
    def setup(self):
        raise AssertionError("it was started")

    def process(self, number):
        return number


@pytest.mark.parametrize("path", ["no/such/folder/run.json", ".", "pipe"])
@pytest.mark.parametrize("how", ["run", "stream"])
def test_what_cannot_be_written_is_refused_before_anything_starts(how, path, on, tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="the trace can't be written to"):
        getattr(NeverSetUp(), how)([1], trace=tmp_path / path, **on)
    assert [one.name for one in tmp_path.iterdir()] == ["pipe"]


def test_what_can_no_longer_be_written_costs_no_results(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    class Remove(Processor[int, int]):
        def process(self, number):
            folder.rmdir()
            return number

    with pytest.warns(RuntimeWarning, match="the trace could not be written"):
        assert Remove().run([7], trace=folder / "run.json") == [7]


def test_a_long_run_keeps_its_beginning_and_its_end(monkeypatch, tmp_path):
    monkeypatch.setattr(tapes, "LIMIT", 100)
    Double().run(range(1000), engine="inline", trace=tmp_path / "run.json")

    trace = read(tmp_path / "run.json")
    names = list(dict.fromkeys(one.name for one in trace.of("double")))
    # To see that an item gives no more has a span, too, on a machine that was busy elsewhere.
    first = [name for name in names if int(name.split()[1]) < 100]
    assert first == [f"item {n}" for n in range(len(first))]
    assert names[len(first) :] == [
        f"item {n}" for n in range(1000 - len(names[len(first) :]), 1000)
    ]
    assert 90 <= len(trace.of("double")) + len(trace.of("double", "setup")) <= 100
    (gap,) = trace.of("double", "left out")
    assert gap.name == f"{trace.about['spans left out']['double']} spans left out"
    assert trace.about["spans left out"]["double"] >= 901


def test_a_tape_is_bounded():
    tape = Tape(0)
    for n in range(3 * tapes.LIMIT):
        tape.add("batch", n, n + 1, (n,), 1)

    assert len(tape.spans) == tapes.LIMIT
    assert tape.left_out == 2 * tapes.LIMIT
    assert tape.gap == (tapes.LIMIT // 2, 3 * tapes.LIMIT - tapes.LIMIT // 2)
