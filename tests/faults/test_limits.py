"""What the system may refuse in the middle of it all: descriptors, memory, processes, a folder."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time

import pytest

from conveyor import Feed, Processor, ResourceError
from conveyor.engines.processes import hand
from conveyor.testing.leaks import Snapshot, leaks
from tests.faults.scripts import LIMIT, PREAMBLE, Script, run
from tests.leaks import PATIENCE

LIMITS = """
import contextlib, errno, resource
from conveyor.testing.leaks import Snapshot, leaks

held, before = [], resource.getrlimit(resource.RLIMIT_NOFILE)

def fill():
    '''Leave no descriptor in this process.'''
    top = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (top + 1, before[1]))
    with contextlib.suppress(OSError):
        while True:
            held.append(os.dup(0))

def free():
    while held:
        os.close(held.pop())
    resource.setrlimit(resource.RLIMIT_NOFILE, before)

def filling(items, at):
    for number, item in enumerate(items):
        if number == at:
            fill()
        yield item

def grow(megabytes):
    '''Let this process have so much more memory.'''
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (megabytes << 20), -1))

def told(error, *words):
    '''The words that an error does not say.'''
    return [word for word in words if word not in str(error)]
"""


def limited(folder, body, **options):
    ended = run(folder, LIMITS + body, **options)
    assert (ended.code, ended.left) == (0, []), ended.err
    return ended.out.splitlines()


def test_where_the_caller_has_no_descriptor_left_the_run_goes_on_or_says_so(tmp_path):
    lines = limited(
        tmp_path,
        """
from loguru import logger
import conveyor.engines.processes.planning as planning
planning.physical_cores = lambda: 3

def once(number):
    if number == 50 and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def slow(item):
    time.sleep(0.002)
    return item

def until(words):
    heard = []
    logger.enable("conveyor")
    sink = logger.add(lambda message: heard.append(1) if words in message else None)
    while not heard:
        yield 0
    logger.remove(sink)

logger.remove()
assert Processor(abs).run([1]) == [1]
start = Snapshot.take()

fill()
try:
    Processor(abs).run([1])
except ResourceError as error:
    print("start", type(error.__cause__).__name__, told(error, "ulimit -n"))
free()

try:
    Processor(once).options(restarts=3).run(filling(range(200), 20))
except WorkerDied as error:
    print("restart", error.stage, error.item, told(error, "SIGKILL", "started again", "ulimit -n"))
free()

pipeline = Feed() >> Processor(slow) % Auto(max=20)
results = pipeline.run(filling(until("gets no wider"), 3))
(widths,) = results.stats.widths.values()
(last,) = [n for n, one in enumerate(widths) if "gets no wider" in one.reason]
print("widen", set(results), widths[last].width - widths[last - 1].width)
free()

large = Feed() >> Processor(bytes) >> Processor(len)
print("large", set(large.run(filling([1_000_000] * 50, 5))))
print("large", {len(one) for one in (Feed() >> Processor(bytes)).run(filling([10**6] * 50, 5))})
free()

print("left", leaks(start))
""",
    )
    assert lines == [
        "start OSError []",
        "restart once 50 []",
        "widen {0} 0",
        "large {1000000}",
        "large {1000000}",
        "left []",
    ]


def test_where_a_worker_has_no_descriptor_left_the_run_says_so(tmp_path):
    lines = limited(
        tmp_path,
        """
import conveyor.engines.processes.planning as planning
planning.physical_cores = lambda: 3

# The server from which workers come has few; the caller gets more when it needs them.
before = min(4096, before[1]), before[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
assert Processor(abs).run([1]) == [1]
start = Snapshot.take()
print("many", len((Processor(abs) >> Pipe() * 300 & Processor(abs)).run([1])))

def opens(item):
    fill()
    return open("/dev/null")

def takes(item):
    if not held:
        fill()
    return item

def slow(item):
    time.sleep(0.002)
    return item

try:
    (Feed() >> Processor(opens)).run([1])
except StageError as error:
    print("opens", error.stage, error.item, error.__cause__.errno == errno.EMFILE)

try:
    (Feed() >> Processor(takes) >> Processor(slow) % Auto(max=20)).run(itertools.repeat(1))
except ResourceError as error:
    print("takes", told(error, "'takes'", "ulimit -n"))

print("left", leaks(start))
""",
    )
    assert lines == ["many 300", "opens opens 1 True", "takes []", "left []"]


def test_where_there_is_no_memory_left_the_run_goes_on_or_says_so(tmp_path):
    lines = limited(
        tmp_path,
        """
class Grows:
    '''An item that takes more to be loaded than there is.'''
    def __reduce__(self):
        return bytes, (1 << 30,)

class Short(Processor):
    '''Has little memory, and none for another place that is shared.'''
    def setup(self):
        grow(60)
    def process(self, item):
        return bytes(item)

def tried(what, pipeline, items, *words):
    try:
        print(what, set(pipeline.run(items)))
    except ConveyorError as error:
        name, stage = type(error).__name__, getattr(error, "stage", None)
        print(what, name, stage, told(error, "MemoryError", *words))

many = Processor(abs) % 24
assert sum((Feed() >> many).run([1] * 24)) == 24
start = Snapshot.take()
tried("takes", Feed() >> Short(), [1 << 30], "on item 1073741824")
tried("loads", Feed() >> Short(), [Grows()], "loading it", "ulimit -v")
tried("large", Feed() >> Short() >> Short() >> Processor(len), [1_000_000] * 9)

grow(2)
try:
    (Feed() >> many).run([1] * 24)
except ResourceError as error:
    print("start", told(error, "can't be started", "ulimit -v"))
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print("left", leaks(start))
""",
    )
    assert lines == [
        "takes StageError short []",
        "loads NotPicklable short []",
        "large {1000000}",
        "start []",
        "left []",
    ]


def test_a_start_that_fails_for_want_of_a_descriptor_leaves_none_open(monkeypatch):
    def full(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    pipeline = Feed() >> Processor(abs) % 2
    pipeline.run([1])
    start = Snapshot.take()
    with monkeypatch.context() as patch:  # another thread has opened the last ones
        patch.setattr(hand, "MessageEnd", full)
        with pytest.raises(ResourceError, match="ulimit -n"):
            pipeline.run([1])
    assert leaks(start) == []


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs another user"
)
def test_where_there_can_be_no_more_processes_the_run_says_so(tmp_path):
    """Root may have any number, so this is somebody else, who may read what root may."""
    tmp_path.chmod(0o777)
    (tmp_path / "script.py").write_text(
        PREAMBLE
        + LIMITS
        + """
import psutil

from conveyor.engines.processes import fork_server

many = Feed() >> Processor(abs) % 8
print(sum(many.run([1] * 8)))
start = Snapshot.take()
there = psutil.process_iter(["uids"])
mine = sum(one.info["uids"].real == os.getuid() for one in there)
_, most = resource.getrlimit(resource.RLIMIT_NPROC)
for pid in (0, fork_server.fork_server()._forkserver_pid):
    resource.prlimit(pid, resource.RLIMIT_NPROC, (mine + 4, most))
try:
    many.run([1] * 8)
except ResourceError as error:
    print(told(error, "can't be started", "ulimit -u"), leaks(start))
resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
print(sum(many.run([1] * 8)))
"""
    )
    may = "-all,+dac_override,+dac_read_search"
    somebody = ["--reuid=65534", "--clear-groups", f"--inh-caps={may}", f"--ambient-caps={may}"]
    ended = subprocess.run(
        ["setpriv", *somebody, sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
        text=True,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.stdout.splitlines() == ["8", "[] []", "8"], ended.stderr


def test_who_has_a_folder_with_a_long_path_keeps_it_for_all_but_sockets(tmp_path):
    lines = limited(
        tmp_path,
        """
import tempfile
from multiprocessing import util

folder = os.path.join(os.getcwd(), "long" * 30)
os.mkdir(folder)
os.environ["TMPDIR"] = folder
print(Processor(abs).run([1]), tempfile.gettempdir() == folder)
print(len(util.get_temp_dir()) < 107)
""",
    )
    assert lines == ["[1] True", "True"]


def test_where_there_is_no_folder_for_sockets_another_one_is_taken_or_it_is_told(tmp_path):
    lines = limited(
        tmp_path,
        """
import shutil, tempfile
from conveyor.engines.processes import fork_server
from multiprocessing import util
from pathlib import Path

unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))  # as if all were full
try:
    Processor(abs).run([1])
except ResourceError as error:
    print("none", told(error, "TMPDIR"), type(error.__cause__).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

Path("a file").touch()
tempfile.tempdir = os.path.join(os.getcwd(), "a file")
print("a file", Processor(abs).run([1]))

made = Path(util.get_temp_dir())
print("made", made.is_dir(), tempfile.gettempdir() == os.path.join(os.getcwd(), "a file"))
start = Snapshot.take()
with (Feed() >> Processor(abs)).open() as warm:
    print("warm", warm.run([1]))
    server = fork_server.fork_server()._forkserver_pid
    shutil.rmtree(made)  # as some systems do with what is old
    print("cleared away", Processor(abs).run([1]), Path(util.get_temp_dir()).is_dir())
    print("warm", warm.run([1]))
os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)  # it ends with the last of its workers
Processor(abs).run([1])
print("left", leaks(start))
""",
    )
    assert lines == [
        "none [] FileNotFoundError",
        "a file [1]",
        "made True True",
        "warm [1]",
        "cleared away [1] True",
        "warm [1]",
        "left []",
    ]


def test_where_the_folder_for_sockets_is_gone_the_run_goes_on_or_says_so(tmp_path):
    lines = limited(
        tmp_path,
        """
import shutil, tempfile
from multiprocessing import util
import conveyor.engines.processes.planning as planning
planning.physical_cores = lambda: 3

def refuse():
    raise FileNotFoundError(errno.ENOENT, "no usable folder")

def going(items):
    for number, item in enumerate(items):
        if number == 3:
            shutil.rmtree(util.get_temp_dir())
            tempfile.gettempdir = refuse
        yield item
    tempfile.gettempdir = found

def slow(item):
    time.sleep(0.01)
    return item

def once(item):
    if item == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return item

found = tempfile.gettempdir
results = (Feed() >> Processor(slow) % Auto(1, 8)).run(going(range(100)))
print("widen", len(results), any("no wider" in one.reason for one in results.stats.widths["fork"]))
try:
    Processor(once).options(restarts=2).run(going(itertools.count()))
except WorkerDied as error:
    print("restart", error.stage, error.item, told(error, "SIGKILL", "started again", "TMPDIR"))
tempfile.gettempdir = found
print("later", Processor(abs).run([1]))
""",
    )
    assert lines == ["widen 100 True", "restart once 20 []", "later [1]"]


@pytest.mark.parametrize("before", ["", "Processor(abs).run([1])"], ids=["first", "later"])
def test_a_caller_whose_current_folder_is_gone_is_told_what_to_do(before, tmp_path):
    lines = limited(
        tmp_path,
        f"""
{before}
home = os.getcwd()
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
for _ in range(2):
    try:
        Processor(abs).run([1])
    except ResourceError as error:
        print(told(error, "the current folder has been removed", "os.chdir()"))
os.chdir(home)
print(Processor(abs).run([1]))
""",
    )
    assert lines == ["[]", "[]", "[1]"]


def test_a_caller_that_is_killed_leaves_no_folder(tmp_path):
    script = Script(
        tmp_path,
        """
        print(Processor(abs).run([1]), flush=True)
        time.sleep(60)
        """,
    )
    script.wait_for("[1]")
    assert len(list(tmp_path.glob("pymp-*/listener-*"))) == 1
    script.process.kill()
    script.end()
    until = time.monotonic() + PATIENCE
    while list(tmp_path.glob("pymp-*")) and time.monotonic() < until:
        time.sleep(0.01)
    assert not list(tmp_path.glob("pymp-*"))


def test_a_caller_that_is_killed_while_the_fork_server_starts_leaves_no_folder(tmp_path):
    script = Script(
        tmp_path,
        """
        from multiprocessing.forkserver import ForkServer
        usual = ForkServer.ensure_running

        def killed(server):
            usual(server)
            print(len(os.listdir(os.environ["TMPDIR"])), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        ForkServer.ensure_running = killed
        Processor(abs).run([1])
        """,
    )
    assert script.end().out == "2\n"  # this file, and the folder
    until = time.monotonic() + PATIENCE
    while list(tmp_path.glob("pymp-*")) and time.monotonic() < until:
        time.sleep(0.01)
    assert not list(tmp_path.glob("pymp-*"))


def test_what_others_have_in_the_folder_of_a_caller_that_is_killed_stays(tmp_path):
    script = Script(
        tmp_path,
        """
        from multiprocessing import util
        print(Processor(abs).run([1]), flush=True)
        open(os.path.join(util.get_temp_dir(), "others"), "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    script.end()
    until = time.monotonic() + PATIENCE
    while list(tmp_path.glob("pymp-*/listener-*")) and time.monotonic() < until:
        time.sleep(0.01)
    (folder,) = tmp_path.glob("pymp-*")
    assert [path.name for path in folder.iterdir()] == ["others"]
