"""A run that stands still is told of, and ended if asked; one that has nothing to do is not."""

from __future__ import annotations

import ctypes
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from loguru import logger

from conveyor import AUTO, Feed, Join, Processor, Source, Stalled, UsageError
from conveyor.engines.processes import stall
from conveyor.engines.processes.vitals import STOPPED, condition

LIMIT = 0.5
"""Seconds: many times what a step of these pipelines takes, on a busy machine, too."""

PAUSE = 2 * LIMIT
"""Seconds that somebody takes who may: this is what is tested, not a wait for something else."""


@pytest.fixture
def told():
    """What is logged as a warning; a function in `told.then` is called with each."""

    class Told(list):
        then = None

    found = Told()

    def take(message):
        found.append(message.record["message"])
        if found.then is not None:
            found.then()

    logger.enable("conveyor")
    sink = logger.add(take, level="WARNING", catch=False)
    yield found
    logger.remove(sink)
    logger.disable("conveyor")


def at_three(action, name="stuck"):
    """A processor that does something with item 3."""

    def act(item):
        if item == 3:
            action()
        return item

    return Processor(act).options(name=name)


def stop_self():
    os.kill(os.getpid(), signal.SIGSTOP)


def wait_for_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def read_a_pipe():
    reading, _ = os.pipe()
    os.read(reading, 1)


def read_a_pipe_in_c():
    reading, _ = os.pipe()
    ctypes.PyDLL(None).read(reading, ctypes.create_string_buffer(1), 1)  # it holds the GIL


def compute_until(path):
    while not path.exists():
        pass


# -- what stands still --


@pytest.mark.parametrize(
    ("action", "where"),
    [
        (stop_self, "the process is stopped"),
        (wait_for_a_lock, "in wait_for_a_lock"),
        (read_a_pipe, "in read_a_pipe"),
        (read_a_pipe_in_c, "in read_a_pipe_in_c"),
    ],
)
def test_a_run_that_stands_still_ends_with_who_waits_for_whom(action, where):
    pipeline = Processor(abs) >> at_three(action) >> Processor(str).options(name="last")
    with pytest.raises(Stalled, match=r"still at stage 'stuck' on item 3 for 0\.5 s") as caught:
        pipeline.run(range(1_000_000), stalled=LIMIT)
    error = caught.value
    assert (error.stage, error.item, error.stalled) == ("stuck", "3", LIMIT)
    assert where in error.report
    for line in ("the pipe to stuck is full", "the pipe from stuck is empty", "busy for"):
        assert line in error.report
    for line in ("the others wait for stuck", "the stack of last", "in _wait"):
        assert line in error.report


def test_the_error_survives_a_pickle():
    error = Stalled("parse", "3", 60.0, "who waits for whom")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.stage, again.stalled) == (str(error), "parse", 60.0)


def test_a_worker_that_was_stopped_while_it_had_nothing_to_do_is_named():
    given = queue.SimpleQueue()
    given.put(1)
    pipeline = Processor(abs) >> Processor(lambda item: os.getpid()).options(name="who")
    outputs = pipeline.stream(iter(given.get, None), stalled=LIMIT)
    pid = next(outputs)
    os.kill(pid, signal.SIGSTOP)
    while condition(pid) != STOPPED:
        pass
    given.put(2)
    with pytest.raises(Stalled) as caught:
        next(outputs)
    given.put(None)  # for the thread that pulls
    assert caught.value.stage == "who"
    assert "1 batch is under way" in caught.value.report


@pytest.mark.parametrize("processes", [None, 1])
def test_a_setup_that_does_not_come_to_its_end_is_named(processes):
    class Hung(Processor):
        def setup(self):
            wait_for_a_lock()

        def process(self, item):
            return item

    pipeline = Processor(abs) >> Hung() >> Processor(abs)
    with pytest.raises(Stalled, match="not set up yet") as caught:
        pipeline.run([1], stalled=LIMIT, processes=processes)
    assert (caught.value.stage, caught.value.item) == ("hung", None)


class Silent(Source):
    """Gives an item, and then has nothing, for as long as it is not told to end."""

    def __init__(self, seconds):
        self.seconds = seconds

    def generate(self):
        yield 3
        time.sleep(self.seconds)
        yield 4


@pytest.mark.parametrize(
    "pipeline",
    [
        Silent(60) >> at_three(wait_for_a_lock),
        Feed() >> at_three(wait_for_a_lock).options(restarts=1),
        Feed() >> Processor(abs) * at_three(wait_for_a_lock),
        Feed() >> at_three(wait_for_a_lock) % AUTO,
    ],
    ids=["source", "restarts", "zip", "auto"],
)
def test_it_is_found_in_pipelines_of_other_shapes(pipeline):
    items = None if "Silent" in repr(pipeline) else [1, 2, 3, 4]
    with pytest.raises(Stalled) as caught:
        pipeline.run(items, stalled=LIMIT)
    assert (caught.value.stage, caught.value.item) == ("stuck", "3")


def test_it_is_found_where_stages_share_a_process():
    pipeline = Processor(abs) >> at_three(wait_for_a_lock) >> Processor(str)
    with pytest.raises(Stalled) as caught:
        pipeline.run(range(6), stalled=LIMIT, processes=1)
    assert (caught.value.stage, caught.value.item) == ("stuck", "3")


def test_a_source_that_is_stopped_is_named():
    class Stops(Source):
        def generate(self):
            yield 1
            stop_self()

    with pytest.raises(Stalled) as caught:
        (Stops() >> Processor(abs)).run(stalled=LIMIT)
    assert caught.value.stage == "stops"


def test_a_warm_pipeline_goes_on_after_it():
    with at_three(wait_for_a_lock).open(stalled=LIMIT) as live:
        with pytest.raises(Stalled):
            live.run([3])
        assert live.run([4]) == [4]


def test_unasked_it_is_logged_once_and_the_run_goes_on(told, tmp_path, monkeypatch):
    monkeypatch.setattr(stall, "QUIET", LIMIT)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    stuck = at_three(fifo.read_bytes)

    def go_on():
        fifo.write_bytes(b"")

    told.then = lambda: threading.Timer(PAUSE, go_on).start()
    assert sorted(stuck.run(range(6))) == list(range(6))
    (text,) = told
    assert text.startswith("the run has stood still at stage 'stuck' on item 3")
    assert "read_bytes" in text


def test_unasked_and_unlogged_nothing_is_looked_for(monkeypatch):
    monkeypatch.setattr(stall, "QUIET", LIMIT)
    monkeypatch.setattr(stall, "sights", None)
    stuck = at_three(lambda: time.sleep(PAUSE))
    assert stuck.run([3]) == [3]


# -- what does not --


def test_an_item_that_takes_long_is_told_of_and_ends_nothing(told, tmp_path):
    path = tmp_path / "told"
    told.then = path.touch
    slow = at_three(lambda: compute_until(path), "slow")
    results = (Processor(abs) >> slow).run(range(6), stalled=LIMIT)
    assert sorted(results) == list(range(6))
    (text,) = told
    assert text.startswith("stage 'slow' on item 3, at work for")
    assert "the stack" not in text  # who is at work is not disturbed


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(),
    reason="the kernel does not tell which processes one has started",
)
def test_a_worker_that_waits_for_a_process_at_work_is_slow(told, tmp_path):
    path = tmp_path / "told"
    told.then = path.touch
    script = f"import os\nwhile not os.path.exists({str(path)!r}): pass"

    def start():
        subprocess.run([sys.executable, "-c", script], check=True)

    assert at_three(start, "slow").run([3], stalled=LIMIT) == [3]
    assert [text.split(",")[0] for text in told] == ["stage 'slow' on item 3"]


def test_a_consumer_may_pause(told):
    outputs = (Processor(abs) >> Processor(str)).stream(range(100_000), stalled=LIMIT)
    next(outputs)
    for _ in range(2):
        time.sleep(PAUSE)
        for _ in range(1_000):
            next(outputs)
    outputs.close()
    assert told == []


@pytest.mark.parametrize("processes", [None, 1])
def test_items_and_sources_may_have_nothing(told, processes):
    def items():
        yield 1
        time.sleep(PAUSE)
        yield 2

    def run(pipeline, *items):
        with pipeline.open(stalled=LIMIT, processes=processes) as live:
            list(live.stream(*([()] if items else [])))
            told.clear()  # to start may take longer than the limit, on a busy machine
            outputs = sorted(live.run(*items))
            assert told == []
            return outputs

    assert run(Processor(abs) >> Processor(str), items()) == ["1", "2"]
    assert run(Silent(PAUSE) >> Processor(str)) == ["3", "4"]


ONE, TWO = Processor(abs), Processor(str)


def several(item):
    yield from range(item)


@pytest.mark.parametrize(
    "pipeline",
    [
        Feed() >> ONE * TWO & Join("zip") >> Processor(repr),
        Feed() >> ONE % TWO & Join("ordered") >> Processor(repr),
        Feed() >> ONE % AUTO & TWO,
        Feed() >> ONE.options(restarts=1) >> TWO,
        Processor(several) >> Processor(repr),
    ],
    ids=["zip", "ordered", "auto", "restarts", "flat"],
)
def test_all_that_went_in_has_come_out_while_items_wait(told, pipeline):
    def items():
        yield from range(5)
        time.sleep(PAUSE)
        yield from range(5)

    pipeline.run(items(), stalled=LIMIT, ordered=True)
    assert told == []


def test_of_branches_that_all_stand_still_one_is_named():
    stuck = Processor(lambda item: wait_for_a_lock()).options(name="stuck")
    with pytest.raises(Stalled) as caught:
        (Feed() >> stuck % 2).run(range(10), stalled=LIMIT)
    assert caught.value.stage in ("stuck", "stuck.2")
    assert caught.value.item in ("0", "1")
    assert "the others wait for stuck and stuck.2" in caught.value.report


@pytest.mark.parametrize("stalled", [0, -1, True, "soon", float("nan")])
def test_what_is_no_time_is_refused(stalled):
    with pytest.raises(UsageError, match="stalled takes seconds"):
        Processor(abs).run([1], stalled=stalled)


def test_inline_takes_it_and_has_nobody_to_watch():
    assert Processor(abs).run([-1], engine="inline", stalled=LIMIT) == [1]
