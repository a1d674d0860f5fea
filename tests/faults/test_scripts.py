"""Scripts without a guard, from a file, from standard input and from the command line."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile

import pytest

from tests.faults.scripts import run

MAIN = """
from dataclasses import dataclass

@dataclass
class Word:
    text: str

@processor
def shout(word: Word) -> Word:
    return Word(word.text.upper())

class Count(Processor[Word, int]):
    def process(self, word):
        return len(word.text)

offset = 10
print("the script ran")
words = [Word("a"), Word("bcd")]
print((Feed() >> shout >> Count() >> Processor(lambda n: n + offset)).run(words))
print((Feed() >> shout).run(words)[1] == Word("BCD"))
"""


@pytest.mark.parametrize("how", ["file", "stdin", "-c"])
def test_a_script_needs_no_guard_and_runs_once(tmp_path, how):
    ended = run(tmp_path, MAIN, how)
    assert ended.err == ""
    assert ended.out.splitlines() == ["the script ran", "[11, 13]", "True"]
    assert ended.code == 0


WRONG = r"""
import linecache

def halved(item):
    return item / 0

cell = "def cut(item):\n    return item / 0  # a cell\n"
linecache.cache["<cell 1>"] = (len(cell), None, cell.splitlines(True), "<cell 1>")
exec(compile(cell, "<cell 1>", "exec"))
for function in (halved, lambda item: halved(item), cut):
    told = []
    for engine in ("inline", "processes"):
        try:
            Processor(function).run([1], engine=engine)
        except StageError as error:
            told.append(error.worker_traceback)
    print(told[0])
    print(told[0] == told[1] or told)
"""


@pytest.mark.parametrize("how", ["file", "stdin", "-c"])
def test_the_tracebacks_of_workers_are_those_of_the_script(tmp_path, how):
    ended = run(tmp_path, WRONG, how)
    assert ended.err == ""
    assert ended.out.splitlines().count("True") == 3, ended.out
    file = {"file": tmp_path / "script.py", "stdin": "<stdin>", "-c": "<string>"}[how]
    assert ended.out.count(f'File "{file}", line ') == 3, "twice in halved, once in the lambda"
    assert how != "file" or ended.out.count("    return item / 0\n") == 2
    assert 'File "<cell 1>", line 2, in cut\n    return item / 0  # a cell\n' in ended.out


@pytest.mark.parametrize(
    "flags", [("-O",), ("-W", "error", "-X", "dev"), ("-bb",), ("-P",), ("-I",)], ids=" ".join
)
def test_the_flags_of_the_interpreter_change_nothing(tmp_path, flags):
    if flags == ("-I",):
        pytest.skip("isolated, it would not find the package of the work tree")
    ended = run(tmp_path, MAIN, flags=flags)
    assert ended.err == ""
    assert ended.out.splitlines()[1:] == ["[11, 13]", "True"]


def test_functions_of_a_script_may_have_a_cache(tmp_path):
    ended = run(
        tmp_path,
        """
        import functools

        @processor
        @functools.lru_cache(maxsize=2)
        def double(item):
            print("once", item)
            return 2 * item

        print(double.run([1, 1, 2]), double._function.cache_info().currsize)
        """,
    )
    assert (ended.err, ended.out) == ("", "once 1\nonce 2\n[2, 2, 4] 0\n")


def test_functions_of_a_script_may_have_implementations_by_type(tmp_path):
    ended = run(
        tmp_path,
        """
        import functools
        from abc import ABC
        from collections.abc import Sequence

        @functools.singledispatch
        def told(item):
            "Tells."
            return told.__doc__, told.mark, told.__wrapped__.__name__

        told.mark = 5

        class Named(ABC):
            pass

        Named.register(dict)

        @told.register
        def _(item: int | str):
            return "plain", item

        @told.register
        def _(items: Sequence):
            return [told(item) for item in items]

        @told.register
        def _(item: Named):
            return "named"

        class Tell(Processor):
            @functools.singledispatchmethod
            def told(self, item):
                return self.told(0)

            @told.register(int)
            @classmethod
            def _(cls, item):
                return cls.__name__, item

            def process(self, item):
                return self.told(item)

        for one in (Processor(told), Processor(lambda item: told(item)), Tell()):
            results = [one.run([1, [2, ["a"]], {}, 1.5], engine=e) for e in ("inline", "processes")]
            print(results[0] == results[1], results[1])
        got, = Processor(lambda item: told).run([1])
        print(got(1), got.registry.keys() == told.registry.keys())
        """,
    )
    assert ended.err == ""
    functions = "[('plain', 1), [('plain', 2), [('plain', 'a')]], 'named', ('Tells.', 5, 'told')]"
    assert ended.out.splitlines() == [
        f"True {functions}",
        f"True {functions}",
        "True [('Tell', 1), ('Tell', 0), ('Tell', 0), ('Tell', 0)]",
        "('plain', 1) True",
    ]


def test_classes_of_a_script_may_have_private_slots(tmp_path):
    ended = run(
        tmp_path,
        """
        class Item:
            __slots__ = ("x", "__y")
            def __init__(self, x):
                self.x, self.__y = x, -x
            def both(self):
                return self.x, self.__y

        class Add(Processor):
            __slots__ = ("__n",)
            def __init__(self, n):
                self.__n = n
            def process(self, item):
                return Item(item.x + self.__n)

        print([item.both() for item in (Feed() >> Add(1) >> Add(2)).run([Item(1), Item(2)])])
        """,
    )
    assert (ended.err, ended.out) == ("", "[(4, -4), (5, -5)]\n")


def test_what_a_worker_prints_comes_out_whatever_the_terminal_can_show(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("PYTHONUTF8", "0")
    ended = run(tmp_path, r"Processor(lambda item: print('n\xe9e', item)).run([1])")
    assert (ended.out, ended.err) == ("n\\xe9e 1\n", "")


def test_classes_of_a_script_may_be_named_tuples(tmp_path):
    ended = run(
        tmp_path,
        """
        from typing import NamedTuple

        class Point(NamedTuple):
            x: int
            y: int = 5
            def sum(self):
                return self.x + self.y

        class Near(Point):
            __slots__ = ()

        def found(point):
            return point.sum(), hasattr(point, "__dict__"), Near(*point)

        for told in (Processor(lambda x: Point(x)) >> Processor(found)).run(range(2)):
            print(told, type(told[-1]) is Near)
        """,
    )
    assert ended.err == ""
    assert ended.out.splitlines() == [
        "(5, False, Near(x=0, y=5)) True",
        "(6, False, Near(x=1, y=5)) True",
    ]


def test_a_class_of_a_script_that_can_not_be_built_anew_is_told(tmp_path):
    ended = run(
        tmp_path,
        """
        made = 0

        class Once:
            def __init_subclass__(cls):
                if os.getpid() != caller:
                    raise LookupError("only once")

        caller = os.getpid()

        class Item(Once):
            pass

        @processor
        def same(item: Item) -> Item:
            return item if isinstance(item, Item) else None

        class Look(Once, Processor):
            process = staticmethod(lambda item: item)

        try:
            Look().run([1])
        except NotPicklable as error:
            print(error.stage, type(error.__cause__), error, sep="\\n")
        """,
    )
    assert ended.err == ""
    told = "the classes of __main__ that it needs: LookupError: only once"
    assert ended.out.splitlines()[:2] == ["look", "<class 'LookupError'>"]
    assert told in ended.out


def test_members_of_an_enum_of_a_script_keep_what_init_and_new_have_set(tmp_path):
    ended = run(
        tmp_path,
        """
        from enum import Enum

        class Planet(Enum):
            EARTH = (5.976e24, 6.37814e6)
            def __init__(self, mass, radius):
                self.mass, self.radius = mass, radius
            @property
            def gravity(self):
                return round(6.67e-11 * self.mass / self.radius**2, 1)

        class Language(str, Enum):
            EN = ("en", 2)
            DE = ("de", 3)
            def __new__(cls, code, weight):
                self = str.__new__(cls, code)
                self._value_, self.weight = code, weight
                return self

        class Weigh(Processor):
            def __init__(self, planet):
                self.planet = planet
            def process(self, language):
                return language, self.planet.gravity, Planet.EARTH

        for given, gravity, planet in (Feed() >> Weigh(Planet.EARTH)).run([*Language]):
            print(given is Language(given), given.weight, gravity, planet is Planet.EARTH)
        """,
    )
    assert (ended.err, ended.out) == ("", "True 2 9.8 True\nTrue 3 9.8 True\n")


def test_classes_of_a_script_may_have_properties_that_are_computed_once(tmp_path):
    ended = run(
        tmp_path,
        """
        from functools import cached_property

        class Item:
            def __init__(self, text):
                self.text = text
            @cached_property
            def words(self):
                return self.text.split()

        class Longest(Processor):
            @cached_property
            def key(self):
                return len
            def process(self, item):
                return max(item.words, key=self.key), "words" in vars(item)

        print((Feed() >> Longest()).run([Item("a bcd")]))
        """,
    )
    assert (ended.err, ended.out) == ("", "[('bcd', True)]\n")


def test_a_script_may_name_types_of_its_own(tmp_path):
    ended = run(
        tmp_path,
        """
        from typing import Callable, NewType, ParamSpec

        UserId = NewType("UserId", int)
        P = ParamSpec("P")

        def same(function: Callable[P, int]) -> Callable[P, int]:
            return function

        class Load(Processor[int, UserId]):
            def process(self, item: int) -> UserId:
                return UserId(same(lambda: item)())

        @processor
        def name(user: UserId) -> str:
            return f"{user} {UserId.__name__} {UserId.__supertype__.__name__}"

        print((Feed() >> Load() >> name).run([1]))
        """,
    )
    assert (ended.err, ended.out) == ("", "['1 UserId int']\n")


def test_a_processor_with_options_is_loaded_once(tmp_path):
    ended = run(
        tmp_path,
        """
        class Model(Processor):
            def __setstate__(self, state):
                print("loaded")
                vars(self).update(state)
            def process(self, item):
                return item

        print((Feed() >> Model().options(name="model")).run([1]))
        """,
    )
    assert (ended.err, ended.out) == ("", "loaded\n[1]\n")


def test_a_class_of_a_script_may_hold_an_instance_of_itself(tmp_path):
    ended = run(
        tmp_path,
        """
        class Add(Processor):
            default = None
            def __init__(self, n):
                self.n = n
            def process(self, item):
                return item + self.n + self.default.n

        Add.default = Add(10)
        print((Feed() >> Add(1)).run([1]))
        """,
    )
    assert (ended.err, ended.out) == ("", "[12]\n")


def test_a_module_that_runs_a_pipeline_when_it_is_imported_is_told(tmp_path):
    """Its workers would import it, and run it again, and so would theirs."""
    body = """
    from conveyor import Feed, Processor

    def double(item):
        return 2 * item

    print((Feed() >> Processor(double)).run([1]))
    """
    (tmp_path / "job.py").write_text(textwrap.dedent(body))
    ended = run(tmp_path, "import job")
    assert ended.code == 1
    assert "module 'job' runs a pipeline in line 7 whenever it is imported" in ended.err
    assert ended.err.count("UsageError") == 1


def test_where_the_module_of_a_processor_fails_in_the_worker_is_told(tmp_path):
    (tmp_path / "job.py").write_text(
        "import multiprocessing\nfrom conveyor import Processor\n"
        "def connect():\n    if multiprocessing.parent_process(): raise OSError('no network')\n"
        "connect()\nclass Job(Processor):\n    def process(self, item): return item\n"
    )
    ended = run(tmp_path, "import job; (Feed() >> job.Job()).run([1])")
    assert ended.code == 1
    assert "NotPicklable: the processor of stage 'job' can't be sent" in ended.err
    assert f'{tmp_path}/job.py", line 4, in connect' in ended.err


def test_a_class_of_a_script_is_built_once_in_a_worker_however_many_runs_there_are(tmp_path):
    ended = run(
        tmp_path,
        """
        class Base(Processor):
            def __init_subclass__(cls):
                print("built", cls.__name__)

        class Add(Base):
            def process(self, item):
                return item + 1

        with (Feed() >> Add()).open() as live:
            print([live.run([item]) for item in range(4)])
        """,
    )
    assert (ended.err, ended.out) == ("", "built Add\n" * 2 + "[[1], [2], [3], [4]]\n")


def test_what_the_script_changes_in_a_class_of_its_own_stays(tmp_path):
    ended = run(
        tmp_path,
        """
        class Item:
            seen = 0
            def read(self):
                return Item.seen

        def same(item):
            return item

        Item.seen = 5
        back, = (Feed() >> Processor(same)).run([Item()])
        Item.seen = 7
        print(type(back) is Item, back.read())
        """,
    )
    assert ended.out == "True 7\n", ended.err


INTERRUPTED = """
import os, signal, sys
if "multiprocessing.forkserver" in " ".join(sys.orig_argv):
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_while_the_fork_server_starts_is_told_to_nobody_there(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    ended = run(
        tmp_path,
        """
        os.environ["PYTHONPATH"] = os.pathsep.join([os.getcwd(), os.environ["PYTHONPATH"]])

        def mask(item):
            return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

        print(Processor(mask).run([1]), mask(1))
        """,
    )
    assert (ended.err, ended.out) == ("", "[False] False\n")


def test_what_workers_print_arrives_whole(tmp_path):
    ended = run(
        tmp_path,
        """
        def talk(item):
            print("out", "x" * 2000, item)
            print("err", item, file=sys.stderr)
            print("begun ", end="")
            sys.stdout.flush()
            print("ended", item)
            return item

        (Feed() >> Processor(talk) % 4).run(range(200))
        """,
    )
    lines = ended.out.splitlines()
    assert sorted(line for line in lines if line.startswith("out")) == sorted(
        f"out {'x' * 2000} {n}" for n in range(200)
    )
    assert sorted(line for line in lines if line.startswith("begun")) == sorted(
        f"begun ended {n}" for n in range(200)
    )
    assert sorted(ended.err.splitlines()) == sorted(f"err {n}" for n in range(200))


def test_what_a_worker_has_flushed_is_shown_though_it_dies_before_the_line_ends(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading

        def load(item):
            while item == 3 and not os.path.exists("3"):
                time.sleep(0.01)
            print("a", end="")
            print("bout", end=" ", flush=True)
            sys.stdout.buffer.write("to lo\u00e4d".encode()[:-2])
            sys.stdout.flush()
            sys.stdout.buffer.write("to lo\u00e4d".encode()[-2:])
            sys.stdout.flush()
            thread = threading.Thread(target=print, args=("thread",), kwargs={"flush": True})
            thread.start()
            thread.join()
            print("told", end="", flush=True, file=sys.stderr)
            os._exit(3)

        def hang(item):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            print("hangs", end="", flush=True)
            open(str(item), "w").close()
            time.sleep(60)

        loads, hangs = Processor(load), Processor(hang)
        for n, step in enumerate((loads, hangs.options(timeout=0.5), hangs * loads), 1):
            try:
                (Feed() >> step).run([n])
            except (WorkerDied, StageTimeout) as error:
                print(type(error).__name__)
        """,
    )
    loaded = ["thread", "about to lo\u00e4d"]
    assert ended.out.splitlines()[:5] == [*loaded, "WorkerDied", "hangs", "StageTimeout"]
    assert sorted(ended.out.splitlines()[5:]) == sorted([*loaded, "hangs", "WorkerDied"])
    assert ended.err.splitlines() == ["told"] * 2


def test_what_a_worker_has_flushed_waits_for_the_end_of_the_line(tmp_path):
    ended = run(
        tmp_path,
        """
        from functools import partial

        def dots(letter, ends):
            for n in range(500):
                print(letter, end="", flush=True)
                if n == 50 and os.fork() == 0:
                    print("|")
                    sys.exit()
            if ends:
                print(flush=True)
                print("end", letter, end="", flush=True)

        a, b, c = (Processor(partial(dots, letter)) for letter in "abc")
        (Feed() >> a * b * c).run([True])
        a.run([False])
        """,
    )
    wanted = [line for letter in "abc" for line in (letter * 500, f"end {letter}", "|")]
    assert sorted(ended.out.splitlines()) == sorted([*wanted, "a" * 500, "|"])
    assert ended.err == ""


def test_what_threads_of_a_worker_print_arrives_whole_too(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading

        class Talk(Processor):
            def setup(self):
                self.thread = threading.Thread(target=self.chat)
                self.thread.start()

            def chat(self):
                for n in range(2000):
                    print("thread", n, file=sys.stderr)

            def process(self, item):
                print("item", item)
                return item

            def teardown(self):
                self.thread.join()

        Talk().run(range(2000))
        """,
    )
    assert ended.out.splitlines() == [f"item {n}" for n in range(2000)], ended.err
    assert ended.err.splitlines() == [f"thread {n}" for n in range(2000)]


def test_threads_that_print_together_do_not_get_into_lines_of_each_other(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading

        def chat(name):
            for n in range(200):
                print(name, end=" ")
                print(n)

        def talk(item):
            threads = [threading.Thread(target=chat, args=(name,)) for name in "abcd"]
            for thread in threads:
                thread.start()
            chat("main")
            for thread in threads:
                thread.join()
            print("no newline", end="")

        sys.setswitchinterval(1e-6)
        Processor(talk).run([1])
        """,
    )
    wanted = [f"{name} {n}" for name in ["a", "b", "c", "d", "main"] for n in range(200)]
    assert sorted(ended.out.splitlines()) == sorted([*wanted, "no newline"]), ended.err


def test_the_streams_of_workers_are_whole_streams(tmp_path):
    ended = run(
        tmp_path,
        """
        import subprocess

        def write(stream):
            stream.buffer.write(b"by bytes \\xc3\\xa4 \\xff\\n")
            stream.reconfigure(encoding="latin-1", errors="strict")
            stream.write("by text \\xe4\\n")
            stream.reconfigure(encoding="utf-8")
            subprocess.run(["echo", "by a process"], stdout=stream, check=True)
            stream.writelines(["by ", "parts\\n"])
            return stream.name, stream.writable(), stream.isatty(), stream.line_buffering

        def work(item):
            return write(sys.stdout), write(sys.stderr)

        print(Processor(work).run([1]))
        """,
    )
    assert sorted(ended.err.splitlines()) == ["by a process", *_WRITTEN]
    told = [(f"<{name}>", True, False, True) for name in ("stdout", "stderr")]
    assert sorted(ended.out.splitlines()) == sorted([str([tuple(told)]), "by a process", *_WRITTEN])


_WRITTEN = ["by bytes \xe4 \\xff", "by parts", "by text \xe4"]


def test_what_workers_log_reaches_the_caller(tmp_path):
    ended = run(
        tmp_path,
        """
        import logging
        from loguru import logger

        def talk(item):
            logger.info("by loguru {}", item)
            logging.getLogger("x").warning("by logging %s", item)
            return item

        (Feed() >> Processor(talk)).run([1])
        """,
    )
    assert "by loguru 1" in ended.err
    assert "by logging 1" in ended.err


LOGS = """
import logging

class Show(logging.Handler):
    def emit(self, record):
        failed = bool(record.exc_info or record.exc_text)
        print(record.name, record.levelname, record.getMessage(), record.who, failed)

class Thing:
    def __repr__(self):
        return "<thing>"

def talk(item):
    logging.info("item %s", item, extra={"who": [item]})
    logging.getLogger("a.b").debug("fine", extra={"who": Thing()})
    logging.getLogger("quiet").warning("not this", extra={"who": None})
    logging.getLogger("own").warning("own", extra={"who": None})
    try:
        item / 0
    except ZeroDivisionError:
        logging.exception("failed", extra={"who": open})
    return item

logging.root.setLevel(logging.INFO)
logging.root.addHandler(Show())
logging.getLogger("a").setLevel(logging.DEBUG)
logging.getLogger("quiet").setLevel(logging.ERROR)
logging.getLogger("own").addHandler(Show())
for engine in ("inline", "processes"):
    Processor(talk).run([1], engine=engine)
"""


def test_what_workers_log_is_for_the_handlers_of_the_caller(tmp_path):
    ended = run(tmp_path, LOGS)
    lines = [
        "root INFO item 1 [1] False",
        "a.b DEBUG fine <thing> False",
        "own WARNING own None False",
        "own WARNING own None False",
        "root ERROR failed <built-in function open> True",
    ]
    assert (ended.err, ended.out.splitlines()) == ("", lines * 2)


def test_what_is_logged_in_workers_is_handled_as_in_the_caller(tmp_path):
    """By a handler that a module sets up wherever it is imported; and what can't be logged."""
    module = """
    import logging, sys
    from conveyor import processor

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("module: %(name)s %(message)s"))
    logging.getLogger("app").addHandler(handler)

    class TwoArguments(Exception):
        def __init__(self, one, other):
            super().__init__(one)

    @processor
    def step(item):
        logging.getLogger("app").warning("step %s", item, extra={"why": TwoArguments(1, 2)})
        return item
    """
    (tmp_path / "steps.py").write_text(textwrap.dedent(module))
    body = """
    import logging, steps

    @processor
    def talk(item):
        logging.getLogger(__name__).warning("at %s", __name__)
        logging.warning("%d", "no number")
        return item

    logging.basicConfig(format="script: %(name)s %(message)s", stream=sys.stdout)
    for engine in ("inline", "processes"):
        print((Feed() >> talk >> steps.step).run([1], engine=engine), flush=True)
    """
    ended = run(tmp_path, body)
    lines = [
        "script: __main__ at __main__",
        "module: app step 1",
        "script: app step 1",
        "[1]",
    ]
    assert ended.out.splitlines() == lines * 2
    assert ended.err.count("TypeError: %d format: a real number is required") == 2


def test_a_child_that_was_forked_in_a_run_may_close_its_copy(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading

        def items():
            yield 1
            begun.set()
            done.wait()

        begun, done = threading.Event(), threading.Event()
        with (Feed() >> Processor(abs)).open() as live:
            thread = threading.Thread(target=lambda: print(live.run(items())))
            thread.start()
            begun.wait()
            if not (child := os.fork()):
                live.close()
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            done.set()
            thread.join()
        """,
    )
    assert ended.out == "7\n[1]\n", ended.err


BY_LOGURU = """
import mine
from loguru import logger

logger.remove()
logger.level("LOUD", no=33)
where = "{level.name} {name} {function} {file.name} {extra} {message}"
logger.add(sys.stdout, format=where, level="INFO", backtrace=False, diagnose=False)
logger.disable("mine.quiet")

bound = logger.bind(a=[1]).patch(lambda record: record["extra"].update(patched=True))

def talk(item):
    logger.debug("not this")
    bound.bind(b=open).info("item {}", item)
    logger.log("LOUD", "{braces} stay")
    with logger.contextualize(request=5):
        mine.speak()
    try:
        item / 0
    except ZeroDivisionError:
        logger.exception("failed")
    return item

for engine in ("inline", "processes"):
    print(Processor(talk).run([1], engine=engine))
"""


def test_what_is_logged_by_loguru_in_workers_is_for_the_sinks_of_the_caller(tmp_path):
    module = tmp_path / "mine" / "__init__.py"
    module.parent.mkdir()
    module.write_text(
        "import sys\n"
        "from loguru import logger\n"
        "from mine import quiet\n"
        "logger.add(sys.stderr, format='of the module')\n"
        "def speak():\n"
        "    logger.warning('spoken')\n"
        "    quiet.speak()\n"
    )
    quiet = "from loguru import logger\ndef speak():\n    logger.error('not this')\n"
    (module.parent / "quiet.py").write_text(quiet)
    ended = run(tmp_path, BY_LOGURU)

    extra = "{'a': [1], 'b': <built-in function open>, 'patched': True}"
    lines = [
        f"INFO __main__ talk script.py {extra} item 1",
        "LOUD __main__ talk script.py {} {braces} stay",
        "WARNING mine speak __init__.py {'request': 5} spoken",
        "ERROR __main__ talk script.py {} failed",
        "ZeroDivisionError: division by zero",
        "[1]",
    ]
    told = [line for line in ended.out.splitlines() if line[:1] in tuple("ILWEZ[")]
    assert (told, ended.err) == (lines * 2, "")


def test_what_a_worker_forks_logs_by_loguru_by_itself(tmp_path):
    ended = run(
        tmp_path,
        """
        from loguru import logger

        logger.remove()
        logger.add(sys.stdout, format="{message}")

        def work(item):
            pid = os.fork()
            if not pid:
                logger.info("forked")
                os._exit(0)
            os.waitpid(pid, 0)
            logger.info("here")

        Processor(work).run([1])
        """,
    )
    assert (ended.out, ended.err) == ("here\n", "forked\n")


def test_workers_set_up_logging_where_the_caller_has_not(tmp_path):
    ended = run(
        tmp_path,
        """
        import concurrent.futures, logging
        logging.getLogger("library").addHandler(logging.NullHandler())

        class Talk(Processor):
            def setup(self):
                logging.basicConfig(level=logging.INFO, format="worker: %(message)s")
            def process(self, item):
                logging.info("item %s", item)

        (Feed() >> Talk()).run([1])
        """,
    )
    assert ended.err == "worker: item 1\n"


def test_what_a_worker_forks_logs_by_itself(tmp_path):
    ended = run(
        tmp_path,
        """
        import logging

        def fork(item):
            child = os.fork()
            if not child:
                logging.warning("from the child")
                os._exit(0)
            os.waitpid(child, 0)
            logging.warning("from the worker")
            return item

        logging.basicConfig(format="caller: %(message)s")
        print((Feed() >> Processor(fork)).run([1]))
        """,
    )
    assert ended.err == "from the child\ncaller: from the worker\n"
    assert ended.out == "[1]\n"


RUN = "; (conveyor.Feed() >> conveyor.Processor(abs)).run([1])"


def log_of(program):
    """What a program writes to its error stream."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr


@pytest.mark.parametrize(
    "imports",
    [
        "import loguru, conveyor",
        "import conveyor, loguru",
        "import conveyor, importlib.util; importlib.util.find_spec('loguru'); import loguru",
    ],
)
def test_the_library_is_silent_until_it_is_asked(imports):
    assert log_of(imports + RUN) == ""
    assert "runs abs" in log_of(imports + "; loguru.logger.enable('conveyor')" + RUN)


def test_another_module_of_the_archive_that_loguru_is_in_can_be_imported(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("loguru.py", "")
        archive.writestr("other.py", "")
    program = "import sys, importlib.util, conveyor; sys.path.insert(0, {!r}); {}; import other"
    look = "importlib.util.find_spec('loguru')"
    assert log_of(program.format(str(tmp_path / "all.zip"), look)) == ""


def test_a_run_without_a_log_does_not_import_what_it_would_need():
    assert log_of("import sys, conveyor" + RUN + "; assert 'loguru' not in sys.modules") == ""


def test_a_forked_copy_of_the_caller_takes_nothing_of_its_stream(tmp_path):
    ended = run(
        tmp_path,
        """
        stream = Processor(abs).stream(iter(range(30_000)), ordered=True)
        outputs = [next(stream)]
        child = os.fork()
        if not child:
            try:
                list(stream)
            except UsageError as error:
                os._exit("belongs to process" in str(error))
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        outputs += stream
        print(outputs == [*range(30_000)])
        """,
    )
    assert (ended.out, ended.err) == ("True\n", "")


def test_files_in_the_current_folder_are_not_taken_for_modules(tmp_path):
    ended = run(
        tmp_path,
        """
        import sys
        os.mkdir("inner")
        os.chdir("inner")
        for name in ("select", "tempfile", "struct", "queue", "numpy", "conveyor"):
            with open(f"{name}.py", "w") as file:
                file.write("raise ImportError('this is no module')")
        def look(item):
            import conveyor, queue
            same = conveyor.__file__ == item and "inner" not in queue.__file__
            return same, os.environ.get("PYTHONSAFEPATH"), os.environ["PYTHONPATH"] == path
        path = os.environ["PYTHONPATH"]
        import conveyor
        print((Feed() >> Processor(look)).run([conveyor.__file__]))
        """,
    )
    assert (ended.out, ended.err) == ("[(True, None, True)]\n", "")


def test_workers_have_the_environment_and_folder_of_the_caller(tmp_path):
    ended = run(
        tmp_path,
        """
        (Feed() >> Processor(abs)).run([1])
        os.environ["NEW"] = "yes"
        os.makedirs("inner")
        os.chdir("inner")
        def look(item):
            return os.environ.get("NEW"), os.path.basename(os.getcwd())
        print((Feed() >> Processor(look)).run([1]))
        """,
    )
    assert ended.out == "[('yes', 'inner')]\n", ended.err


def test_workers_have_the_umask_and_the_time_zone_of_the_caller(tmp_path):
    ended = run(
        tmp_path,
        """
        os.environ.pop("TZ", None)
        time.tzset()
        (Feed() >> Processor(abs)).run([1])

        def look(name):
            open(name, "w").close()
            return oct(os.stat(name).st_mode & 0o777), time.strftime("%Z", time.localtime(0))

        for umask, zone in ((0o077, "EAST-9"), (0o027, "WEST8")):
            os.umask(umask)
            os.environ["TZ"] = zone
            time.tzset()
            print(Processor(look).run([zone]))
        """,
    )
    wanted = [[("0o600", "EAST")], [("0o640", "WEST")]]
    assert ended.out.splitlines() == [str(one) for one in wanted], ended.err


def test_calls_go_as_deep_in_workers_as_in_the_caller(tmp_path):
    ended = run(
        tmp_path,
        """
        class Nest:
            def __init__(self, depth):
                self.depth = depth
            def __setstate__(self, state):
                self.depth = depth(state["depth"])

        def depth(n):
            return n and 1 + depth(n - 1)

        class Deep(Processor):
            def __init__(self, nest):
                self.nest = nest
            def process(self, item):
                return depth(item), self.nest.depth, sys.getrecursionlimit()

        sys.setrecursionlimit(5_000)
        print(Deep(Nest(3_000)).run([4_000]))
        sys.setrecursionlimit(300)
        print(Deep(Nest(1)).run([2])[0][2] >= 1_000)
        """,
    )
    assert (ended.out, ended.err) == ("[(4000, 3000, 5000)]\nTrue\n", "")


def test_closed_standard_streams_do_no_harm(tmp_path):
    ended = run(
        tmp_path,
        """
        for fd in (0, 1, 2):
            os.close(fd)
        def talk(item):
            print("to nobody")
            return item
        results = (Feed() >> Processor(talk)).run([1, 2])
        with open("results", "w") as file:
            file.write(str(results))
        os._exit(0)
        """,
    )
    assert (tmp_path / "results").read_text() == "[1, 2]"
    assert ended.code == 0


def test_a_daemon_that_has_closed_everything_keeps_its_files(tmp_path):
    ended = run(
        tmp_path,
        """
        pipeline = Processor(note) >> Processor(note)
        pipeline.run([1])
        os.closerange(3, 256)
        files = [open(f"{number}.txt", "w+") for number in range(12)]
        print([pipeline.run([number]) for number in range(3)])
        for file in files:
            file.write("mine")
            file.flush()
            file.seek(0)
        print({file.read() for file in files})
        """,
    )
    assert (ended.out, ended.err, ended.left) == ("[[0], [1], [2]]\n{'mine'}\n", "", [])


def test_a_script_runs_in_a_debugger(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from conveyor import *\nprint(Processor(abs).run([-1]))\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pdb", "-c", "continue", str(script)],
        input="quit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout.startswith("[1]\n"), ended.stdout + ended.stderr


def test_no_helper_reads_from_the_terminal_of_one_that_goes_on_interactively(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONINSPECT", "1")
    ended = run(
        tmp_path,
        """
        from multiprocessing import resource_tracker
        print(Processor(note).run([1]), os.environ["PYTHONINSPECT"])
        for pid in os.listdir("/proc"):
            if pid.isdigit() and pid != str(os.getpid()):
                try:
                    with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/environ") as environ:
                        if stat.read().split(")")[1].split()[1] == str(os.getpid()):
                            print("PYTHONINSPECT" in environ.read())
                except OSError:
                    pass
        """,
        how="stdin",
    )
    assert ended.out.splitlines() == ["[1] 1", "False", "False"]


def test_a_process_that_is_forked_while_others_start_pipelines_can_do_so_too(tmp_path):
    ended = run(
        tmp_path,
        """
        import threading

        pipeline = Processor(abs) >> Processor(abs)
        pipeline.run([1])
        stop = threading.Event()

        def requests():
            while not stop.is_set():
                pipeline.run(range(3))

        threads = [threading.Thread(target=requests) for _ in range(2)]
        for thread in threads:
            thread.start()
        codes = set()
        for _ in range(4):
            pid = os.fork()
            if not pid:
                signal.alarm(20)
                pipeline.run([1])
                os._exit(0)
            codes.add(os.waitpid(pid, 0)[1])
        stop.set()
        for thread in threads:
            thread.join()
        print(codes)
        """,
    )
    assert ended.out == "{0}\n", ended.err


def test_a_pipeline_runs_inside_a_processor(tmp_path):
    ended = run(
        tmp_path,
        """
        class Outer(Processor):
            def process(self, item):
                note()
                return sum((Feed() >> Processor(lambda n: note(n) * 2) % 2).run(range(item)))

        print((Feed() >> Outer()).run([3, 4]))
        """,
    )
    assert ended.out == "[6, 12]\n", ended.err
    assert ended.left == []


def test_pipelines_run_side_by_side_in_threads_and_in_asyncio(tmp_path):
    ended = run(
        tmp_path,
        """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        def job(n):
            return (Feed() >> Processor(lambda x: x + n) >> Processor(abs) % 2).run(
                range(50), ordered=True
            ) == [x + n for x in range(50)]

        with ThreadPoolExecutor(4) as pool:
            print(all(pool.map(job, range(8))))

        async def main():
            return await asyncio.gather(*(asyncio.to_thread(job, n) for n in range(3)))

        print(asyncio.run(main()), job(1))
        """,
    )
    assert ended.out.splitlines() == ["True", "[True, True, True] True"], ended.err


def test_few_descriptors_are_an_error_that_says_so(tmp_path):
    ended = run(
        tmp_path,
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
        try:
            (Feed() >> Processor(abs) % 40).run([1])
        except ConveyorError as error:
            print("ulimit -n" in str(error))
        print((Feed() >> Processor(abs)).run([1]))
        """,
    )
    assert ended.out.splitlines() == ["True", "[1]"], ended.err


def test_more_channels_than_one_message_carries(tmp_path):
    ended = run(
        tmp_path,
        """
        results = (Feed() >> Pipe() * 300 & Processor(abs)).run([1])
        print(len(results))
        """,
    )
    assert ended.out == "300\n", ended.err


def test_workers_find_what_the_script_has_put_on_the_path(tmp_path):
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "found.py").write_text("def double(item):\n    return 2 * item\n")
    ended = run(
        tmp_path,
        """
        Processor(abs).run([1])  # the fork server is there before
        sys.path.append(os.path.join(os.getcwd(), "aside"))
        import found
        print(Processor(found.double).run([1]))
        """,
    )
    assert ended.out == "[2]\n", ended.err


def test_workers_draw_numbers_of_their_own_at_random(tmp_path):
    ended = run(
        tmp_path,
        """
        import random
        import numpy.random  # of which a fork server would hand its state on

        def draw(item):
            return random.random(), numpy.random.rand(), numpy.random.default_rng().random()

        drawn = (Feed() >> Processor(draw) * 3).run([1])
        print([len(set(numbers)) for numbers in zip(*drawn)])
        """,
    )
    assert ended.out == "[3, 3, 3]\n", ended.err


@pytest.mark.parametrize("stderr", ["os.close(2)", "os.dup2(os.open(os.devnull, os.O_RDONLY), 2)"])
def test_an_error_is_told_where_nothing_can_be_written_to(tmp_path, stderr):
    ended = run(
        tmp_path,
        f"""
        {stderr}
        try:
            Processor(lambda item: 1 // item).run([0])
        except StageError as error:
            print(error.stage, error.item, type(error.__cause__).__name__)
        """,
    )
    assert ended.out == "lambda 0 ZeroDivisionError\n"


def test_a_long_path_to_temporary_files(tmp_path):
    ended = run(
        tmp_path,
        """
        long = os.path.join(os.getcwd(), "x" * 120)
        os.mkdir(long)
        os.environ["TMPDIR"] = long
        print(Processor(abs).run([-1]))
        """,
    )
    assert ended.out == "[1]\n", ended.err[-2000:]
