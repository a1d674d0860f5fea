"""Whatever ends a worker or the caller: a clear error within the second, and nothing left."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from conveyor import Feed, NotPicklable, Processor, Source, StageError, WorkerDied
from conveyor.engines.processes import crew
from tests.faults.scripts import Script, run
from tests.leaks import end_of, read_pids


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
    assert (error.stage, error.exitcode, error.item) == ("fatal", exitcode, "500")


def test_among_very_many_cheap_items_a_few_are_named():
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> on(49_999, kill)).run(range(50_000))
    numbers = [int(number) for number in re.findall(r"\d+", caught.value.item or "")]
    assert numbers[-1] - 64 < 49_999 <= numbers[-1]


def test_where_they_come_from_a_neighbour_in_the_process_their_batch_is_named():
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> Processor(abs) >> on(49_999, kill)).run(range(50_000), processes=1)
    assert (caught.value.item or "").endswith("49999")


def test_an_error_among_very_many_cheap_items_names_the_one():
    with pytest.raises(StageError) as caught:
        (Feed() >> on(49_999, lambda: 1 // 0)).run(range(50_000))
    assert caught.value.item == "49999"


@pytest.mark.parametrize("where", ["setup", "finish", "teardown"])
def test_a_worker_that_dies_outside_of_an_item_is_named(where):
    fatal = type("Fatal", (Processor,), {"process": lambda s, i: i, where: lambda s: kill()})
    with pytest.raises(WorkerDied) as caught:
        (Feed() >> Processor(abs) >> fatal()).run([1])
    assert (caught.value.stage, caught.value.item) == ("fatal", None)


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


@pytest.mark.parametrize("how", [IN_PYTHON, IN_C_WITH_THE_GIL], ids=["python", "holding the GIL"])
def test_ctrl_c_stops_everything_and_is_raised_once(tmp_path, how):
    script = Script(tmp_path, RUNNING.format(how=how))
    script.wait_for("running")
    os.killpg(script.process.pid, signal.SIGINT)
    ended = script.end()
    assert ended.code == -signal.SIGINT
    assert ended.err.count("KeyboardInterrupt") == 1, ended.err
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
        held = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            for child in psutil.Process().children():
                if "forkserver" in " ".join(child.cmdline()):
                    child.kill()
            assert pipeline.run([-2]) == [2]
        assert all(child.status() != "zombie" for child in psutil.Process().children())
        print(len(os.listdir("/proc/self/fd")) - held)
        """,
    )
    assert ended.out == "0\n", ended.err


def test_a_run_whose_fork_server_is_killed_goes_on(tmp_path):
    ended = run(
        tmp_path,
        """
        import psutil
        outputs = (Feed() >> Processor(note)).stream(range(20_000))
        first = next(outputs)
        for child in psutil.Process().children():
            if "forkserver" in " ".join(child.cmdline()):
                child.kill()
        print(first + sum(outputs))
        """,
    )
    assert ended.out == f"{sum(range(20_000))}\n", ended.err
    assert ended.left == []


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
