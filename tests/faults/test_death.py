"""Whatever ends a worker or the caller: a clear error within the second, and nothing left."""

from __future__ import annotations

import functools
import itertools
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from conveyor import (
    Feed,
    NotPicklable,
    Pipe,
    Processor,
    Source,
    StageError,
    StageTimeout,
    WorkerDied,
)
from conveyor.engines.processes import crew, look
from tests.faults.scripts import Script, run
from tests.leaks import PATIENCE, end_of, read_pids

pytestmark = pytest.mark.conveyor(limit=100)  # then it tells all stacks, also of workers


def on(item, action):
    """A processor that does something terrible with one item."""

    def act(given):
        if given == item:
            action()
        return given

    return Processor(act)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def segfault():
    import ctypes
    import faulthandler

    faulthandler.disable()
    ctypes.string_at(0)


@pytest.mark.parametrize(
    ("action", "exitcode", "words"),
    [
        (kill, -signal.SIGKILL, "SIGKILL"),
        (terminate, -signal.SIGTERM, "SIGTERM"),
        (segfault, -signal.SIGSEGV, "SIGSEGV"),
        (os.abort, -signal.SIGABRT, "SIGABRT"),
        (lambda: os._exit(0), 0, "code 0"),
        (lambda: os._exit(7), 7, "code 7"),
    ],
    ids=["kill", "terminate", "segfault", "abort", "exit 0", "exit 7"],
)
@pytest.mark.parametrize("processes", [None, 1])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_worker_that_dies_is_named_with_its_item(action, exitcode, words, place, processes):
    stages = [Processor(abs), Processor(abs)]
    stages.insert(place, on(500, action).options(name="fatal"))
    pipeline = Feed() >> stages[0] >> stages[1] >> stages[2]
    with pytest.raises(WorkerDied, match=words) as caught:
        pipeline.run(range(10_000), processes=processes)
    error = caught.value
    assert (error.stage, error.exitcode) == ("fatal", exitcode)
    if processes is None:
        assert error.item == "500"
    else:
        # Of a batch that never left its process all items are kept only while that is cheap.
        numbers = numbers_in(error.item)[-2:]
        assert numbers[0] <= 500 <= numbers[-1]


def numbers_in(item):
    return [int(number) for number in re.findall(r"\d+", item or "")]


def test_among_very_many_cheap_items_a_few_are_named():
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> on(49_999, kill)).run(range(50_000))
    numbers = numbers_in(caught.value.item)
    assert numbers[-1] - 64 < 49_999 <= numbers[-1]


def test_where_they_come_from_a_neighbour_in_the_process_their_batch_is_named():
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> Processor(abs) >> on(49_999, kill)).run(range(50_000), processes=1)
    assert (caught.value.item or "").endswith("49999")


def test_an_error_among_very_many_cheap_items_names_the_one():
    with pytest.raises(StageError) as caught:
        (Feed() >> on(49_999, lambda: 1 // 0)).run(range(50_000))
    assert caught.value.item == "49999"


def pid_of_the_one_that_waits_for_room(name):
    while True:
        with suppress(RuntimeError):  # a pipeline has just come or gone
            for sight in itertools.chain.from_iterable(look.pipelines()):
                if (sight.worker, sight.state) == (name, "blocked"):
                    return sight.pid
        time.sleep(0.01)


def test_who_dies_waiting_for_room_died_of_no_item():
    stops = Processor(lambda item: os.kill(os.getpid(), signal.SIGSTOP))
    waits = Processor(abs).options(name="waits")
    killing = threading.Thread(
        target=lambda: os.kill(pid_of_the_one_that_waits_for_room("waits"), signal.SIGKILL)
    )
    killing.start()
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> waits >> Pipe(capacity=1) >> stops).run(itertools.count())
    killing.join()
    assert (caught.value.stage, caught.value.item) == ("waits", None)


def test_a_worker_that_dies_between_two_runs_takes_nothing_along():
    pipeline = Processor(and_here) >> Processor(and_here)
    with pipeline.open() as live:
        (before,) = live.run([[]])
        for victim in before:
            os.kill(victim, signal.SIGKILL)
            assert end_of([victim]) == []
        (after,) = live.run([[]])
    assert len({*before, *after}) == 4


def and_here(pids):
    return [*pids, os.getpid()]


def test_a_worker_that_dies_before_the_first_run_is_not_started_again(tmp_path):
    class Fatal(Processor):
        def setup(self):
            (tmp_path / str(os.getpid())).touch()
            kill()

        def process(self, item):
            return item

    with Fatal().open() as live:
        while not (there := list(tmp_path.iterdir())):
            time.sleep(0.001)
        assert end_of([int(there[0].name)]) == []
        with pytest.raises(WorkerDied):
            live.run([1])
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("where", ["setup", "finish", "teardown"])
@pytest.mark.parametrize("processes", [None, 2, 1])
def test_a_worker_that_dies_outside_of_an_item_is_named(where, processes):
    fatal = type("Fatal", (Processor,), {"process": lambda s, i: i, where: lambda s: kill()})
    for pipeline in (fatal() >> Last() >> Last(), Last() >> fatal() >> Last(), Last() >> fatal()):
        with pytest.raises(WorkerDied) as caught:
            pipeline.run([1], processes=processes)
        assert (caught.value.stage, caught.value.item) == ("fatal", None)


class Last(Processor):
    def process(self, item):
        return item

    def finish(self):
        yield from range(2)


def test_a_source_that_dies_is_named():
    class Fatal(Source):
        def generate(self):
            yield 1
            kill()

    with pytest.raises(WorkerDied) as caught:
        (Fatal() >> Processor(abs)).run()
    assert caught.value.stage == "fatal"


def test_all_replicas_may_die_at_once():
    with pytest.raises(WorkerDied, match="SIGKILL"):
        (Feed() >> Processor(lambda item: kill()) % 4).run(range(100))


def test_a_stopped_worker_does_not_outlive_the_run():
    """A worker that neither works nor ends can't hold the caller up in leaving."""
    pids = []
    outputs = (Feed() >> Processor(lambda item: os.getpid())).stream(range(1_000_000))
    pids.append(next(outputs))
    os.kill(pids[0], signal.SIGSTOP)
    outputs.close()
    assert end_of(pids) == []


def test_an_exception_that_cannot_travel_is_told_by_its_text():
    class Needy(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def fail(item):
        raise Needy("this", "that")

    with pytest.raises(StageError, match="Needy: this and that") as caught:
        (Feed() >> Processor(fail)).run([1])
    assert "raise Needy" in str(caught.value)


def test_an_exception_that_holds_a_lock_is_told_by_its_text():
    class Holds(Exception):
        def __init__(self):
            super().__init__("bad page")
            self.lock = threading.Lock()

    def fail(item):
        raise Holds

    with pytest.raises(StageError, match="Holds: bad page") as caught:
        Processor(fail).run([1])
    assert caught.value.__cause__ is None


def test_notes_and_groups_of_exceptions_are_told():
    def fail(item):
        first = KeyError("one")
        first.add_note("of the second table")
        raise ExceptionGroup("both", [first, OSError("two")])

    with pytest.raises(StageError, match="of the second table") as caught:
        Processor(fail).run([1])
    cause = caught.value.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert [type(one) for one in cause.exceptions] == [KeyError, OSError]
    assert cause.exceptions[0].__notes__ == ["of the second table"]


def test_of_two_failures_at_once_one_is_told_whole():
    def fail(item):
        raise ValueError("in both")

    one, other = (Processor(fail).options(name=name) for name in ("one", "other"))
    with pytest.raises(StageError, match=r"'(one|other)' failed on item 1: ValueError: in both"):
        (Feed() >> one * other).run([1])


def test_the_chain_of_an_exception_is_told():
    def fail(item):
        try:
            raise KeyError("first")
        except KeyError as error:
            raise RuntimeError("second") from error

    with pytest.raises(StageError, match="first"):
        (Feed() >> Processor(fail)).run([1])


def test_a_broken_repr_does_not_hide_the_error():
    class Odd:
        def __repr__(self):
            raise ValueError("no repr")

    with pytest.raises(StageError, match=r"Odd whose repr fails|<Odd instance"):
        (Feed() >> Processor(lambda item: 1 // 0)).run([Odd()])


def test_a_huge_item_is_shown_short():
    with pytest.raises(StageError) as caught:
        (Feed() >> Processor(lambda item: 1 // 0)).run(["x" * 5_000_000])
    assert len(caught.value.item) < 200


def test_an_output_that_cannot_be_pickled_names_stage_item_and_path():
    with pytest.raises(NotPicklable) as caught:
        (
            Feed() >> Processor(lambda n: {"n": n, "gen": (i for i in [n])}).options(name="maker")
        ).run([5])
    error = caught.value
    assert (error.stage, error.where) == ("maker", "item['gen']")
    assert "'n': 5" in error.item


def test_an_item_that_cannot_be_pickled_names_its_path():
    with Path(os.devnull).open() as file, pytest.raises(NotPicklable) as caught:
        (Feed() >> Processor(str)).run([1, 2, [file]])
    assert (caught.value.stage, caught.value.where) == ("feed", "item[0]")


def test_a_processor_that_cannot_be_pickled_names_its_attribute():
    class Holder(Processor):
        def __init__(self):
            self.stream = (i for i in [])

        def process(self, item):
            return item

    with pytest.raises(NotPicklable, match="setup") as caught:
        (Feed() >> Holder()).run([1])
    assert (caught.value.stage, caught.value.item, caught.value.where) == (
        "holder",
        None,
        "self.stream",
    )


def test_a_function_that_cannot_be_pickled_names_what_it_uses():
    stream = (i for i in [])
    with pytest.raises(NotPicklable, match=r"'stream', which .* uses: .*\n.*write a class"):
        (Feed() >> Processor(lambda item: next(stream))).run([1])


STREAM = (i for i in [])


class Reader:
    """Has what can't be pickled, and is called in more ways than one."""

    def __init__(self):
        self.stream = STREAM

    def __call__(self, item):
        return item

    def read(self, item):
        return item


class Slim(Processor):
    __slots__ = ("stream",)

    def __init__(self):
        self.stream = STREAM

    def process(self, item):
        return item


def with_class_attribute():
    class Shares(Processor):
        stream = STREAM

        def process(self, item):
            return item

    return Shares()


def with_global_in_a_method():
    class Uses(Processor):
        def process(self, item):
            return [next(STREAM) for _ in range(item)]

    return Uses()


def with_global_behind_a_call_of_itself():
    def down(item):
        return down(item - 1) if item else next(STREAM)

    return Processor(down)


def of_two(item, stream):
    return item


def with_default():
    def work(item, stream=STREAM):
        return item

    return Processor(work)


@pytest.mark.parametrize(
    ("make", "where", "hint"),
    [
        (lambda: Processor(of_two).bind(stream=STREAM), r"the argument 'stream' of of_two\(\)", ""),
        (
            lambda: Processor(functools.partial(of_two, stream=STREAM)),
            r"the argument 'stream' of of_two\(\)",
            "",
        ),
        (with_default, r"the default of 'stream' of \S+work\(\)", ""),
        (lambda: Processor(Reader()), r"Reader\(...\).stream", ""),
        (lambda: Processor(Reader().read), r"Reader\(...\).stream", ""),
        (with_global_behind_a_call_of_itself, r"'STREAM', which \S+down\(\) uses", ""),
        (with_global_in_a_method, r"'STREAM', which \S+process\(\) uses", "build it"),
        (with_class_attribute, r"Shares.stream", "build it"),
        (Slim, r"self.stream", "build self.stream"),
    ],
)
def test_whatever_in_a_processor_cannot_be_pickled_is_named(make, where, hint):
    with pytest.raises(
        NotPicklable, match=f"{hint or 'write a class, and build it'} in setup"
    ) as caught:
        make().run([1])
    assert re.fullmatch(where, caught.value.where)


def test_a_generator_as_source_is_pointed_to_feed():
    with pytest.raises(NotPicklable, match=r"Feed\(\)"):
        (Source(i for i in range(3)) >> Processor(abs)).run()


def test_an_item_that_cannot_be_loaded_names_the_stage():
    class Trap:
        def __reduce__(self):
            return (int, ("no number",))

    with pytest.raises(NotPicklable, match="no number") as caught:
        (Feed() >> Processor(abs).options(name="reader")).run([Trap()])
    assert caught.value.stage == "reader"


def nested(depth):
    item: list[object] = []
    for _ in range(depth):
        item = [item]
    return item


def test_an_output_too_deep_to_be_pickled_costs_that_item_alone():
    deep = Processor(lambda n: nested(100_000) if n == 3 else n)
    with pytest.raises(NotPicklable, match="recursion"):
        deep.run(range(6))
    results = deep.options(on_error="dead_letter").run(range(6))
    assert sorted(results) == [0, 1, 2, 4, 5]
    assert [letter.item for letter in results.dead_letters] == [3]


def test_a_failure_is_told_past_pipes_that_are_full():
    pipeline = Feed() >> Processor(abs) >> Pipe(capacity=1) >> Processor(abs) >> Pipe(capacity=1)
    with pytest.raises(StageError) as caught:
        (pipeline >> on(10, lambda: 1 // 0)).run(itertools.count())
    assert caught.value.item == "10"


def test_a_worker_that_dies_while_much_is_written_to_it_is_named():
    """More than a pipe holds is on its way to it, in pieces that no shared memory takes."""
    many = (bytes([number]) * 60_000 for number in itertools.cycle(range(256)))

    def work(item):
        if item[0] == 200:
            kill()

    with pytest.raises(WorkerDied, match="SIGKILL") as caught:
        Processor(work).run(many)
    assert caught.value.stage == "work"


@pytest.mark.parametrize("restarts", [0, 2])
def test_a_worker_that_is_stopped_is_overdue(restarts):
    """A debugger, or a machine that swaps: it neither works nor ends, and hears no signal."""
    stops = on(3, lambda: os.kill(os.getpid(), signal.SIGSTOP)).options(
        timeout=0.2, name="stops", on_error="dead_letter", restarts=restarts
    )
    if not restarts:
        with pytest.raises(StageTimeout, match="its worker was killed") as caught:
            stops.run(range(6))
        assert (caught.value.stage, caught.value.item) == ("stops", "3")
        return
    results = stops.run(range(6))
    assert sorted(results) == [0, 1, 2, 4, 5]
    assert [type(letter.error) for letter in results.dead_letters] == [StageTimeout]


def test_who_dies_after_its_goodbye_takes_nothing_along():
    def work(item):
        import atexit

        atexit.register(kill)
        return item

    assert Processor(work).run([1, 2]) == [1, 2]


def test_a_child_of_a_worker_that_lives_on_does_not_hold_the_end_up():
    """It inherits the ends of all channels of the worker, so nobody sees their end of file."""

    def work(item):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        return child

    children = (Feed() >> Processor(work) >> Processor(abs)).run([1])
    assert end_of(children, patience=0) == children
    os.kill(children[0], signal.SIGKILL)
    assert end_of(children) == []


def test_a_source_that_waits_for_ever_can_be_left():
    class Waits(Source):
        def generate(self):
            yield os.getpid()
            while True:
                time.sleep(600)

    outputs = (Waits() >> Processor(abs)).stream()
    source = next(outputs)
    outputs.close()
    assert end_of([source]) == []


def test_a_pipeline_may_be_closed_again_and_in_another_thread():
    with Processor(abs).open() as live:
        assert live.run([-1]) == [1]
        closing = threading.Thread(target=live.close)
        closing.start()
        closing.join()
        live.close()


def test_a_failure_does_not_wait_for_the_others():
    pipeline = Feed() >> Processor(lambda item: 1 // 0) * Processor(lambda item: time.sleep(600))
    with pytest.raises(StageError):
        pipeline.run([1])  # else this would hang until the limit of every test


RUNNING = """
    def work(item):
        note()
        {how}
        return item

    print("started", flush=True)
    for number, _ in enumerate((Feed() >> Processor(work) % 2).stream(itertools.count())):
        if number == 0:
            print("running", flush=True)
"""

IN_PYTHON = "time.sleep(0.001)"
IN_C_WITH_THE_GIL = "import ctypes; item and item > 50 and ctypes.PyDLL(None).sleep(30)"


@pytest.mark.parametrize("how", [IN_PYTHON, IN_C_WITH_THE_GIL], ids=["python", "holding the GIL"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_caller_that_is_killed_leaves_nothing(tmp_path, how, number):
    script = Script(tmp_path, RUNNING.format(how=how))
    script.wait_for("running")
    os.kill(script.process.pid, number)
    ended = script.end()
    assert ended.code == -number
    assert read_pids(script.pids)
    assert ended.left == []


def test_a_caller_that_is_killed_leaves_no_worker_that_is_stopped(tmp_path):
    script = Script(tmp_path, RUNNING.format(how="item and os.kill(os.getpid(), signal.SIGSTOP)"))
    script.wait_for("running")
    while not any(is_stopped(pid) for pid in read_pids(script.pids)):
        time.sleep(0.01)
    os.kill(script.process.pid, signal.SIGKILL)
    assert script.end().left == []


def test_a_caller_that_is_killed_leaves_no_worker_to_a_process_that_it_has_forked(tmp_path):
    script = Script(
        tmp_path,
        """
        with (Feed() >> Processor(note) % 2).open() as live:
            live.run(range(10))
            child = os.fork()
            if child == 0:
                time.sleep(60)
            with open("child", "w") as file:
                file.write(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        stdout=subprocess.DEVNULL,  # what the child holds is not to be waited for
        stderr=subprocess.DEVNULL,
    )
    ended = script.end()
    child = int((tmp_path / "child").read_text())
    try:
        assert read_pids(script.pids)
        assert ended.left == []
        until = time.monotonic() + PATIENCE
        while list(tmp_path.glob("pymp-*")) and time.monotonic() < until:
            time.sleep(0.01)
        assert not list(tmp_path.glob("pymp-*"))  # for the fork server has ended as well
    finally:
        os.kill(child, signal.SIGKILL)


def is_stopped(pid):
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@pytest.mark.parametrize("how", [IN_PYTHON, IN_C_WITH_THE_GIL], ids=["python", "holding the GIL"])
def test_ctrl_c_stops_everything_and_is_raised_once(tmp_path, how):
    script = Script(tmp_path, RUNNING.format(how=how))
    script.wait_for("running")
    os.killpg(script.process.pid, signal.SIGINT)
    ended = script.end()
    assert ended.code == -signal.SIGINT
    assert ended.err.count("KeyboardInterrupt") == 1, ended.err
    assert ended.left == []


def test_ctrl_c_while_a_worker_is_set_up_for_ever_leaves_nothing(tmp_path):
    script = Script(
        tmp_path,
        """
        class Stuck(Processor):
            def setup(self):
                note()
                print("setting up", flush=True)
                time.sleep(600)

            def process(self, item):
                return item

        Stuck().run([1])
        """,
    )
    script.wait_for("setting up")
    os.killpg(script.process.pid, signal.SIGINT)
    ended = script.end()
    assert ended.code == -signal.SIGINT
    assert read_pids(script.pids)
    assert ended.left == []


def test_a_second_ctrl_c_does_not_wait_for_teardown(tmp_path):
    script = Script(
        tmp_path,
        """
        class Clings(Processor):
            def process(self, item):
                note()
                print("running", flush=True)
                time.sleep(600)

            def teardown(self):
                print("clinging", flush=True)
                while True:
                    time.sleep(600)

        from conveyor.engines.processes import crew, look
        crew.GRACE = 500.0  # were it waited for, the script would hang
        Clings().run([1])
        """,
    )
    script.wait_for("running")
    os.killpg(script.process.pid, signal.SIGINT)
    script.wait_for("clinging")
    os.killpg(script.process.pid, signal.SIGINT)
    ended = script.end()
    assert ended.code == -signal.SIGINT
    assert read_pids(script.pids)
    assert ended.left == []


@pytest.mark.parametrize("which", [1, 2, 3])
def test_ctrl_c_while_workers_are_let_go_leaves_nothing(tmp_path, which):
    script = Script(
        tmp_path,
        f"""
        from conveyor.engines.processes.launch import _Process

        join, joined = _Process.join, itertools.count(1)

        def interrupted(process, timeout=None):
            if next(joined) == {which}:
                os.kill(os.getpid(), signal.SIGINT)
            return join(process, timeout)

        pipeline = Processor(note) >> Processor(note) >> Processor(note)
        pipeline.run([1])
        before = descriptors()
        _Process.join = interrupted
        try:
            pipeline.run([1])
        except KeyboardInterrupt:
            print("told", descriptors() - before)
        """,
    )
    ended = script.end()
    assert (ended.out, ended.err) == ("told 0\n", "")
    assert ended.left == []


@pytest.mark.parametrize("at_start", range(3))
def test_ctrl_c_during_the_start_leaves_nothing(tmp_path, at_start):
    script = Script(tmp_path, RUNNING.format(how=IN_PYTHON))
    script.wait_for("started")
    os.killpg(script.process.pid, signal.SIGINT)
    ended = script.end()
    assert ended.code == -signal.SIGINT
    assert ended.err.count("KeyboardInterrupt") == 1, ended.err
    assert ended.left == []


@pytest.mark.parametrize(
    "leave",
    [
        "sys.exit(0)",
        "del outputs",
        "outputs.close()",
        "pass",
        "raise SystemExit(0)",
        "globals()['kept'] = outputs",
        "import gc; cycle = [outputs]; cycle.append(cycle); del outputs, cycle",
    ],
)
def test_a_stream_that_is_left_leaves_nothing(tmp_path, leave):
    ended = run(
        tmp_path,
        f"""
        outputs = (Feed() >> Processor(note) % 2).stream(itertools.count())
        next(outputs)
        {leave}
        """,
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.left == []


def test_the_workers_of_an_inner_pipeline_end_with_the_caller(tmp_path):
    script = Script(
        tmp_path,
        """
        def inner(item):
            note()
            time.sleep(0.001)

        def outer(item):
            note()
            list((Feed() >> Processor(inner)).stream(itertools.count()))

        def noted():
            with open(os.environ["PIDS"], "a+") as file:
                file.seek(0)
                return len(file.readlines())

        def watch(item):
            while noted() < 3:
                time.sleep(0.01)
            print("running", flush=True)

        (Feed() >> Processor(outer) * Processor(watch)).run([1])
        """,
    )
    script.wait_for("running")
    os.kill(script.process.pid, signal.SIGKILL)
    assert script.end().left == []


def test_a_fork_server_that_is_killed_is_replaced(tmp_path):
    ended = run(
        tmp_path,
        """
        import psutil
        pipeline = Feed() >> Processor(abs)
        pipeline.run([1])
        held = descriptors()
        for _ in range(4):
            for child in psutil.Process().children():
                if "forkserver" in " ".join(child.cmdline()):
                    child.kill()
            assert pipeline.run([-2]) == [2]
        assert all(child.status() != "zombie" for child in psutil.Process().children())
        print(descriptors() - held)
        """,
    )
    assert ended.out == "0\n", ended.err


def test_a_caller_interrupted_while_it_asks_for_a_worker_leaves_the_fork_server_as_it_was(
    tmp_path,
):
    ended = run(
        tmp_path,
        """
        import psutil, socket

        class Interrupted(socket.socket):
            def connect(self, address):
                super().connect(address)
                raise KeyboardInterrupt

        def servers():
            children = psutil.Process().children()
            return [child.pid for child in children if "forkserver" in str(child.cmdline())]

        pipeline = Feed() >> Processor(abs)
        pipeline.run([1])
        before, plain = servers(), socket.socket
        for _ in range(3):
            socket.socket = Interrupted
            try:
                pipeline.run([1])
            except KeyboardInterrupt:
                socket.socket = plain
            assert pipeline.run([-2]) == [2]
        print(len(before), servers() == before)
        """,
    )
    assert (ended.err, ended.out) == ("", "1 True\n")
    assert ended.left == []


def test_a_run_whose_fork_server_is_killed_goes_on(tmp_path):
    ended = run(
        tmp_path,
        """
        import psutil
        outputs = (Feed() >> Processor(note)).stream(range(5_000))
        first = next(outputs)
        for child in psutil.Process().children():
            if "forkserver" in " ".join(child.cmdline()):
                child.kill()
        print(first + sum(outputs))
        """,
    )
    assert ended.out == f"{sum(range(5_000))}\n", ended.err
    assert ended.left == []


def test_where_the_caller_is_init_it_leaves_no_zombies(tmp_path):
    """In a container it inherits the workers of a fork server that was killed."""
    ended = run(
        tmp_path,
        """
        import ctypes, psutil
        become_subreaper = 36
        ctypes.CDLL(None).prctl(become_subreaper, 1, 0, 0, 0)
        outputs = (Feed() >> Processor(note) >> Processor(note)).stream(itertools.count())
        next(outputs)
        (server,) = (c for c in psutil.Process().children() if "forkserver" in str(c.cmdline()))
        workers = [child.pid for child in server.children()]
        server.kill()
        outputs.close()
        print(len(workers), [pid for pid in workers if psutil.pid_exists(pid)])
        """,
    )
    assert ended.out == "2 []\n", ended.err


def test_a_forked_copy_of_the_caller_does_not_touch_the_workers(tmp_path):
    ended = run(
        tmp_path,
        """
        with (Feed() >> Processor(abs)).open() as live:
            live.run([1])
            child = os.fork()
            if child == 0:
                try:
                    live.run([2])
                except ConveyorError as error:
                    os._exit(5 if "belongs to process" in str(error) else 6)
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), live.run([-3]))
        """,
    )
    assert ended.out == "5 [3]\n", ended.err


def test_a_thread_that_a_processor_left_does_not_hold_the_end_up(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading
        def work(item):
            threading.Thread(target=time.sleep, args=(600,)).start()
            return note(item)
        print((Feed() >> Processor(work)).run([1]))
        """,
    )
    assert ended.out == "[1]\n", ended.err
    assert ended.left == []


class Leaves(Processor):
    """Leaves a thread behind that does not end by itself."""

    def setup(self):
        threading.Thread(target=time.sleep, args=(600,), daemon=False).start()

    def process(self, item):
        return item


def test_a_worker_ends_though_the_users_code_leaves_a_thread_in_it(monkeypatch):
    # Were it for the caller to end it, the run would not end.
    monkeypatch.setattr(crew, "GOODBYE_GRACE", 500.0)
    assert Leaves().run([1, 2]) == [1, 2]
