"""Processes and programs that the user's code starts, in a worker, are the user's."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults.scripts import Script, run
from tests.leaks import read_pids


def test_a_forked_process_prints_past_its_worker(tmp_path):
    ended = run(
        tmp_path,
        """
        import multiprocessing

        def talk(letter):
            for _ in range(20):
                print(letter * 100_000)

        def start(item):
            context = multiprocessing.get_context("fork")
            children = [context.Process(target=talk, args=(letter,)) for letter in "ab"]
            for child in children:
                child.start()
            print("the worker")
            for child in children:
                child.join()
            return [child.exitcode for child in children]

        print(Processor(start).run([1]))
        """,
    )
    assert ended.err == ""
    assert ended.out.count("the worker") == 1
    assert ended.out.endswith("\n[[0, 0]]\n")
    text = ended.out.replace("the worker", "")
    assert text.count("a") == text.count("b") == 20 * 100_000


def test_a_forked_process_can_be_ended_at_any_time(tmp_path):
    ended = run(
        tmp_path,
        """
        import multiprocessing

        def end_a_child():
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(50,))
            child.start()
            child.terminate()
            child.join()
            print(child.exitcode == -signal.SIGTERM)

        class Starts(Processor):
            def setup(self):
                end_a_child()
            def process(self, item):
                end_a_child()
            def teardown(self):
                end_a_child()

        Starts().run([1])
        """,
    )
    assert (ended.out, ended.err) == ("True\n" * 3, "")


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('enough')", 1, "enough\n"),
        ("raise OSError('the end')", 1, "OSError: the end\n"),
        ("return item", 0, ""),
    ],
)
@pytest.mark.parametrize("options", ["", "on_error='skip'", "retries=2", "restarts=1"])
def test_a_forked_process_that_comes_out_of_the_function_ends(tmp_path, end, code, told, options):
    ended = run(
        tmp_path,
        f"""
        def forks(item):
            if item != 3:
                return item
            if pid := os.fork():
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) + 30
            {end}

        class Forks(Processor):
            def process(self, item):
                return forks(item)
            def teardown(self):
                if forks(3) != 3:
                    print("torn down")

        print((Forks().options({options}) >> Processor(note)).run(range(6), ordered=True))
        """,
    )
    assert ended.out == f"torn down\n[0, 1, 2, {30 + code}, 4, 5]\n"
    assert (ended.err.count(told) == 2 and ended.err.endswith(told)) if told else ended.err == ""
    assert ended.left == []


def test_a_forked_process_may_write_to_a_stream_that_its_worker_has_kept(tmp_path):
    ended = run(
        tmp_path,
        """
        import logging

        class Logs(Processor):
            def setup(self):
                logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
            def process(self, item):
                if pid := os.fork():
                    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                logging.warning("the child")
                os._exit(7)

        print(Logs().run([1]))
        """,
    )
    assert (ended.out, ended.err) == ("the child\n[7]\n", "")


def test_a_copy_does_not_wait_for_room(tmp_path):
    ended = run(
        tmp_path,
        """
        def slow(item):
            time.sleep(0.02)
            return item

        def forks(item):
            if item == 9 and not os.fork():
                return item
            return item

        print((Processor(forks) >> Processor(slow)).run(range(13)))
        """,
    )
    assert (ended.out, ended.err) == (f"{list(range(13))}\n", "")


def test_a_forked_process_may_run_pipelines_of_its_own(tmp_path):
    ended = run(
        tmp_path,
        """
        def runs(item):
            read, write = os.pipe()
            if not os.fork():
                for engine in ("inline", "processes"):
                    outputs = Processor(abs).run([item], engine=engine)
                    failed = Processor(len).options(on_error="skip").run([item], engine=engine)
                    os.write(write, f"{outputs} {failed} ".encode())
                sys.exit()
            os.close(write)
            with open(read) as file:
                return file.read()

        print(Processor(runs).run([-1]))
        """,
    )
    assert (ended.out, ended.err) == ("['[1] [] [1] [] ']\n", "")


def test_a_program_ends_by_ctrl_c(tmp_path):
    script = Script(
        tmp_path,
        """
        import subprocess

        def start(item):
            program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(50)"])
            with open(os.environ["PIDS"], "a") as file:
                file.write(f"{program.pid}\\n")
            print("running", flush=True)
            program.wait()

        Processor(start).run([1])
        """,
    )
    script.wait_for("running")
    os.killpg(script.process.pid, signal.SIGINT)
    ended = script.end()
    assert read_pids(script.pids)
    assert ended.left == []


def test_signals_that_the_caller_blocks_come_to_workers(tmp_path):
    ended = run(
        tmp_path,
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1})
        print(Processor(lambda item: signal.pthread_sigmask(signal.SIG_BLOCK, ())).run([1]))

        def slow(item):
            time.sleep(50 * item)
            return item

        print(Processor(slow).options(timeout=0.1, on_error="skip").run([1, 0]))
        """,
    )
    assert (ended.out, ended.err) == ("[set()]\n[0]\n", "")
