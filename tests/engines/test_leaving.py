"""What becomes of a run that is left: by whom it may be closed, and what ends with it."""

from __future__ import annotations

import gc
import io
import itertools
import queue
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from conveyor import Feed, Processor, Source, StageError, UsageError
from conveyor.engines.processes import crew, staff

pytestmark = pytest.mark.quick


def boom(item):
    raise ValueError(f"no {item}")


add_one = Processor(lambda item: item + 1)


class Held(Source[int]):
    """Holds something as long as it generates."""

    def __init__(self, log):
        self.log = log

    def generate(self):
        with told(self.log, "source"):
            yield from itertools.count()

    def teardown(self):
        tell(self.log, "teardown")


class HeldForLong(Held):
    """Takes its time to clear up."""

    def teardown(self):
        time.sleep(0.1)
        super().teardown()


class HeldByItem(Processor[int, int]):
    def __init__(self, log):
        self.log = log

    def process(self, item):
        with told(self.log, "item"):
            yield from itertools.count()

    def teardown(self):
        tell(self.log, "teardown")


def tell(log, line):
    with log.open("a") as file:
        file.write(f"{line}\n")


@contextmanager
def told(log, name):
    try:
        yield
    finally:
        tell(log, name)


def sources(log):
    return [(Held(log), (), "source"), (HeldByItem(log), ([1],), "item")]


def test_generators_of_a_run_that_is_left_are_closed_before_the_teardown(on, tmp_path):
    for start, items, name in sources(tmp_path / "log"):
        for _ in (start >> add_one).stream(*items, **on):
            break
        assert start.log.read_text().split() == [name, "teardown"]
        start.log.unlink()


def test_generators_of_a_run_that_fails_are_closed_before_the_teardown(on, tmp_path):
    for start, items, name in sources(tmp_path / "log"):
        with pytest.raises(StageError):
            (start >> Processor(boom)).run(*items, **on)
        assert start.log.read_text().split() == [name, "teardown"]
        start.log.unlink()


def test_a_machine_that_stands_still_takes_no_time_to_clear_up_away(tmp_path, monkeypatch):
    hours = itertools.count(step=3600)
    monkeypatch.setattr(staff, "monotonic", lambda: next(hours))  # one goes by at every look
    monkeypatch.setattr(crew, "GRACE", 30.0)
    start = HeldForLong(tmp_path / "log")
    for _ in (start >> add_one).stream(engine="processes"):
        break
    assert start.log.read_text().split() == ["source", "teardown"]


class Spiteful(Held):
    """Fails as it is closed."""

    def generate(self):
        try:
            yield from itertools.count()
        finally:
            raise OSError("not like that")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_generator_that_fails_as_it_is_closed_takes_no_teardown_away(on, tmp_path):
    start = Spiteful(tmp_path / "log")
    with suppress(StageError):
        for _ in (start >> add_one).stream(**on):
            break
    assert start.log.read_text().split() == ["teardown"]


def test_what_gives_the_items_is_let_go_when_the_run_is_over(on):
    def items():
        with closing(io.StringIO()) as file:
            opened.append(file)
            yield from itertools.count()

    opened = []
    gc.collect()
    gc.disable()
    try:
        for _ in (Feed() >> add_one).stream(items(), **on):
            break
        with pytest.raises(StageError):
            (Feed() >> Processor(boom)).run(items(), **on)
        with (Feed() >> add_one).open(**on) as live:
            for _ in live.stream(items()):
                break
            assert [file.closed for file in opened] == [True] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize("is_warm", [False, True])
def test_a_stream_may_be_closed_by_what_its_run_calls(on, is_warm):
    def items():
        yield from range(3)
        outputs.close()
        yield from itertools.count()

    with ExitStack() as stack:
        live = stack.enter_context((Feed() >> add_one).open(**on)) if is_warm else None
        outputs = live.stream(items()) if live else (Feed() >> add_one).stream(items(), **on)
        with pytest.raises(UsageError, match="this stream was closed while"):
            sum(outputs)
        outputs.close()
        if live:
            assert live.run([1]) == [2]


def test_a_stream_that_is_closed_as_it_ends_leaves_the_next_run_alone(on):
    def see(stats):
        if stats.is_last:
            outputs.close()

    with (Feed() >> add_one).open(**on) as live:
        outputs = live.stream(range(3), progress=see)
        assert list(outputs) == [1, 2, 3]
        assert live.run([1]) == [2]


@pytest.mark.parametrize("is_warm", [False, True])
def test_a_stream_may_be_closed_while_another_thread_waits_for_its_next_output(on, is_warm):
    if on["engine"] == "inline":
        pytest.skip("in the calling process it waits for whoever waits for the items")
    raised, waits = [], queue.SimpleQueue()

    def run():
        try:
            sum(outputs)
        except UsageError as error:
            raised.append(str(error))

    with ExitStack() as stack:
        live = stack.enter_context((Feed() >> add_one).open(**on)) if is_warm else None
        items = iter(waits.get, None)
        outputs = live.stream(items) if live else (Feed() >> add_one).stream(items, **on)
        waits.put(1)
        assert next(outputs) == 2
        thread = threading.Thread(target=run)
        thread.start()
        waits.put(1)
        while not waits.empty():
            pass
        outputs.close()
        thread.join()
        waits.put(None)  # what pulls the items can't be broken off
        assert not raised or "this stream was closed while" in raised[0]
        if live:
            assert live.run([1]) == [2]
