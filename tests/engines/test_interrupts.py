"""Ctrl-C waits where it would leave something half done, for no longer than that."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager

import pytest

from conveyor import Feed, Processor
from conveyor.engines.processes import memory
from conveyor.engines.processes.interrupts import interrupts_held, interrupts_let_in
from conveyor.seeing.progress import Safe
from tests.faults.scripts import run


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_until_what_is_inside_is_done():
    done = []

    def work():
        with interrupts_held():
            with interrupts_held():
                interrupt()
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_fails_inside_is_told_along_with_ctrl_c():
    def fail():
        with interrupts_held():
            interrupt()
            raise ValueError("inside")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)


def test_another_thread_has_nothing_to_hold():
    told = []

    def hold():
        with interrupts_held():
            told.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert told == [signal.default_int_handler]


class TooLong(Exception):
    """A limit of time has passed."""


@contextmanager
def alarm(error):
    """Have SIGALRM raise what a limit of time is made of; gives the handler."""

    def raises(*_):
        raise error

    before = signal.signal(signal.SIGALRM, raises)
    try:
        yield raises
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def limit():
    """What a limit of time is made of; it raises."""
    with alarm(TooLong) as raises:
        yield raises


def test_any_handler_waits(limit):
    done = []

    def work():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGALRM)
            done.append("inside")

    with pytest.raises(TooLong):
        work()
    assert done == ["inside"]
    assert signal.getsignal(signal.SIGALRM) is limit


def test_all_that_came_is_handed_on_though_a_handler_raises(limit):
    came = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))

    def work():
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGALRM)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert came == []

    try:
        with pytest.raises(TooLong):
            work()
        assert came == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_handler_that_is_set_meanwhile_stays(limit):
    def other(*_):
        pass

    with interrupts_held(), interrupts_let_in():
        signal.signal(signal.SIGALRM, other)
    assert signal.getsignal(signal.SIGALRM) is other


def test_nothing_is_let_in_where_it_is_held_firmly(limit):
    done = []

    def work():
        with interrupts_held():
            with interrupts_held(firmly=True), interrupts_let_in():
                os.kill(os.getpid(), signal.SIGALRM)
                done.append("inner")
            done.append("outer")

    with pytest.raises(TooLong):
        work()
    assert done == ["inner", "outer"]


def test_what_another_thread_forks_has_the_handlers_of_the_caller(limit):
    told = []

    def fork():
        if pid := os.fork():
            told.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        else:
            os._exit(int(signal.getsignal(signal.SIGALRM) is limit))

    with interrupts_held():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert told == [1]


@pytest.mark.parametrize("base", ["Exception", "TimeoutError"])
def test_a_limit_of_time_leaves_nothing(tmp_path, base):
    ended = run(
        tmp_path,
        f"""
        import gc, random

        class TooLong({base}):
            pass

        def limit(*_):
            raise TooLong

        def descriptors_soon():
            gc.collect()
            until = time.monotonic() + 20
            while descriptors() > before and time.monotonic() < until:
                time.sleep(0.05)
            return descriptors()

        signal.signal(signal.SIGALRM, limit)
        pipeline = Processor(note) >> Processor(note) % 2
        pipeline.run(range(3))
        before = descriptors()
        random.seed(4)
        for _ in range(40):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.05))
                    pipeline.run(range(100))
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except (TooLong, NotPicklable):  # where it was raised as an item was loaded
                pass
        print(descriptors_soon() - before)
        """,
    )
    # Where it has raised in a destructor, Python tells of that, and nobody can help it.
    assert (ended.out, ended.left) == ("0\n", [])


@pytest.mark.parametrize("number", range(1, 7))
def test_ctrl_c_as_a_pipe_is_made_for_a_worker_leaves_nothing(tmp_path, number):
    ended = run(
        tmp_path,
        f"""
        made, pipe = itertools.count(1), os.pipe

        def interrupted():
            ends = pipe()
            if next(made) == {number}:
                os.kill(os.getpid(), signal.SIGINT)
            return ends

        pipeline = Processor(note) >> Processor(note) >> Processor(note)
        pipeline.run([1])
        before = descriptors()
        os.pipe = interrupted
        try:
            pipeline.run([1])
        except KeyboardInterrupt:
            print("told", descriptors() - before)
        os.pipe = pipe
        print(pipeline.run([1]))
        """,
    )
    assert (ended.out, ended.err, ended.left) == ("told 0\n[1]\n", "", [])


def test_ctrl_c_as_the_thread_that_pulls_items_starts_leaves_nothing(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading

        start = threading.Thread.start

        def interrupted(thread):
            start(thread)
            if thread.name == "conveyor-items":
                os.kill(os.getpid(), signal.SIGINT)

        pipeline = Feed() >> Processor(note)
        pipeline.run([1])
        before = descriptors()
        threading.Thread.start = interrupted
        try:
            pipeline.run(iter([1]))
        except KeyboardInterrupt:
            print("told", descriptors() - before, threading.active_count())
        threading.Thread.start = start
        print(pipeline.run(iter([1])))
        """,
    )
    assert (ended.out, ended.err, ended.left) == ("told 0 1\n[1]\n", "", [])


def test_after_two_interrupts_a_pipeline_can_be_run_again(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading

        class Slow(Processor):
            def process(self, item):
                print("at work", flush=True)
                time.sleep(50 * item)
                return note(item)
            def teardown(self):
                time.sleep(50 * self.is_slow)
            is_slow = True

        def interrupt_twice():
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)

        Processor(note).run([1])
        before = descriptors()
        with Slow().open() as live:
            threading.Thread(target=interrupt_twice).start()
            try:
                live.run([1])
            except KeyboardInterrupt:
                time.sleep(0.2)
                print(live.stats())
            Slow.is_slow = False
            print(live.run([0]))
        print(descriptors() - before)
        """,
    )
    assert ended.err == ""
    assert ended.out.splitlines()[-4:] == ["None", "at work", "[0]", "0"]
    assert ended.left == []


@pytest.mark.parametrize("way", ["", ">> Processor(note)"])
def test_frames_that_are_wrong_once_more_keep_nobody_from_clearing_up(tmp_path, way):
    ended = run(
        tmp_path,
        f"""
        class One(Processor):
            def process(self, item):
                return item
            def teardown(self):
                time.sleep(0.05)
                print("down")

        class Twice(One):
            def process(self, item):
                yield item
                yield item

        pipeline = Feed() >> One() * Twice() & Join("zip") {way}
        with pipeline.open() as live:
            for _ in range(10):
                try:
                    live.run(range(100))
                except JoinError:
                    print("told")
        """,
    )
    assert ended.err == ""
    assert (ended.out.count("told"), ended.out.count("down")) == (10, 20)


def test_who_gives_up_privileges_does_not_wait_for_workers(tmp_path):
    if os.getuid():
        pytest.skip("only root can give up its privileges")
    tmp_path.chmod(0o777)
    ended = run(
        tmp_path,
        """
        class Sleeps(Processor):
            def process(self, item):
                time.sleep(50 * (item == 2))
                return 1 / (item - 3)

        def failed(items):
            try:
                live.run(items)
            except StageError as error:
                print(error.item)

        with (Feed() >> Sleeps() % 2).open() as live:
            failed([3])  # whoever has no rights may not be able to import what that needs
            live.run([1])
            os.setgid(65534)
            os.setuid(65534)
            failed([2, 3])
        """,
    )
    assert ended.out == "3\n3\n", ended.err


class Late:
    """Is loaded in the caller's process just as the limit of time passes there, once."""

    has_passed = False

    def __setstate__(self, state):
        if multiprocessing.parent_process() is None and not Late.has_passed:
            Late.has_passed = True
            os.kill(os.getpid(), signal.SIGALRM)

    def __getstate__(self):
        return {"there": True}


@pytest.mark.usefixtures("limit")
def test_a_limit_of_time_is_no_failure_of_what_is_loaded_meanwhile():
    with pytest.raises(TooLong):
        (Feed() >> Processor(lambda _: Late())).run([1])


class Passed(TimeoutError):
    """A limit of time, as many make it."""


@pytest.fixture
def passes():
    """Lets a limit of time pass, of the kind that is an OSError as well."""
    with alarm(Passed):
        yield lambda: os.kill(os.getpid(), signal.SIGALRM)


def test_a_limit_of_time_is_no_want_of_memory(passes, monkeypatch):
    pwrite = os.pwrite

    def written(fd, data, position):
        if len(data) >= 1 << 20:
            passes()
        return pwrite(fd, data, position)

    monkeypatch.setattr(os, "pwrite", written)
    with pytest.raises(Passed):
        (Feed() >> Processor(len)).run([bytes(1 << 20)])


def test_a_limit_of_time_is_no_want_of_addresses(passes, monkeypatch):
    usual = memory.Mapping

    def mapped(*arguments, **options):
        monkeypatch.setattr(memory, "Mapping", usual)
        passes()
        return usual(*arguments, **options)

    monkeypatch.setattr(memory, "Mapping", mapped)
    with pytest.raises(Passed):
        (Feed() >> Processor(bytes)).run([1 << 20])


@pytest.mark.parametrize("engine", ["processes", "inline"])
def test_a_limit_of_time_is_no_file_that_can_not_be_written(engine, passes, monkeypatch, tmp_path):
    fsync = os.fsync

    def synced(fd):
        passes()
        fsync(fd)

    monkeypatch.setattr(os, "fsync", synced)
    with pytest.raises(Passed):
        Processor(abs).run([1], engine=engine, trace=tmp_path / "run.json")
    with pytest.raises(Passed):
        Processor(abs).run([1], engine=engine).dead_letters.save(tmp_path / "letters")
    assert not list(tmp_path.iterdir())


def test_a_limit_of_time_ends_more_than_a_view(passes):
    class Shown:
        period = 0.0

        def show(self, _):
            passes()

        def close(self):
            pass

    view = Safe(Shown())
    with pytest.raises(Passed):
        view.show(None)
