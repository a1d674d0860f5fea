"""The command line, run as a user runs it: in a process of its own."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from conveyor import DeadLetters
from tests.leaks import end_of, read_pids
from tests.seeing.trace_format import read
from tests.terminal import on_terminal

LIMIT = 60
"""Seconds after which a command counts as hung."""

PIPELINES = """
import os, time
from dataclasses import dataclass
from conveyor import *

@dataclass
class Word:
    text: str

@processor
def words(line: str):
    yield from line.split()

@processor
def word(text: str) -> Word:
    return Word(text)

class Shout(Processor[Word, str]):
    def process(self, word):
        print("shouting")
        with open("pids", "a") as file:
            file.write(f"{os.getpid()}\\n")
        return word.text.upper()

@processor
def fields(row: dict) -> dict:
    return {**row, "total": int(row["a"]) + int(row["b"])}

@processor
def number(text: str) -> float:
    return float(text)

shout = words >> word >> Shout() % 2
lenient = number.options(on_error="dead_letter")
squares = Source(range(4)) >> Processor(lambda n: n * n)

@processor
def locked_up(line):
    import threading
    threading.Event().wait()

def nap(n):
    time.sleep(0.01)
    return n

many = Source(list(range(100))) >> Processor(nap)
same = Processor(lambda item: item)
@processor
def last(line: str):
    os.rmdir("sub")
    raise ValueError(line)

vain = last.options(on_error="dead_letter")
sets = Processor(lambda item: {item})
items = [1, 2]

def made():
    return shout

def with_argument(n):
    return shout

def unsound():
    return words & word

def raising():
    return 1 / 0

def without():
    import no_such_module

class Lazy:
    @property
    def made(self):
        return 1 / 0

lazy = Lazy()
half = Processor(lambda item: "\\ud800")
long = Processor(lambda item: 10**5000)

@processor
def deep(item):
    nested = []
    for _ in range(100_000):
        nested = [nested]
    return nested

class Locked(Processor):
    def __init__(self):
        self.lock = open("pids", "a")
    def process(self, item):
        return item

def locked():
    return Locked()

if __name__ == "__main__":
    raise AssertionError("it was run as a script")
"""

COMMAND = [sys.executable, "-m", "conveyor"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lines.py").write_text(PIPELINES)
    return tmp_path


def options(folder: Path) -> dict:
    path = os.pathsep.join(sys.path)
    return {"cwd": folder, "env": {**os.environ, "PYTHONPATH": path}, "text": True}


def conveyor(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    how = {**options(folder), "timeout": LIMIT, "input": given}
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, check=False, **how)
    assert end_of(read_pids(folder / "pids")) == []
    return ended


def in_shell(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as a shell runs it with these arguments and redirections."""
    command = f"'{sys.executable}' -m conveyor {arguments}"
    return subprocess.run(
        command, shell=True, capture_output=True, check=False, timeout=LIMIT, **options(folder)
    )


def told(ended: subprocess.CompletedProcess[str], code: int) -> str:
    """What a command that failed says, which is never a traceback of ours."""
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert f"{os.sep}conveyor{os.sep}cli" not in ended.stderr
    return ended.stderr


# -- run --


def test_a_trace_of_the_run_is_written(folder):
    ended = conveyor(folder, "run", "lines.py:shout", "--trace", "run.json", given="a b\n")

    assert (ended.returncode, ended.stderr.replace("shouting\n", "")) == (0, "")
    assert [one.name for one in read(folder / "run.json").of("words")] == ["batch 0", "batch 1"]


def test_a_report_of_the_run_is_written(folder):
    given = "1\nx\n2\n"
    ended = conveyor(folder, "run", "lines.py:lenient", "--report", "run.html", given=given)

    assert ended.returncode == 0
    page = (folder / "run.html").read_text()
    assert "3</b>" in page
    assert "could not convert string to float: &#x27;x&#x27;" in page
    assert "number.options(" in page


def test_a_run_that_fails_has_its_report(folder):
    ended = conveyor(folder, "run", "lines.py:number", "--report", "run.html", given="1\nx\n")

    assert ended.returncode == 1
    page = (folder / "run.html").read_text()
    assert "It failed" in page
    assert "could not convert string to float: &#x27;x&#x27;" in page


@pytest.mark.parametrize("option", ["--trace", "--report", "--dead-letters"])
def test_a_file_about_the_run_that_cannot_be_written_is_refused(option, folder):
    ended = conveyor(folder, "run", "lines.py:shout", option, "no/run", given="a b\n")

    assert f"the {option[2:].replace('-', ' ')} can't be written to" in told(ended, 2)
    assert not (folder / "pids").exists()


@pytest.mark.parametrize(
    "unfit",
    [("--trace", "no/run"), ("--dead-letters", "no/run"), ("--max-failures=-1",)],
    ids=" ".join,
)
def test_what_does_not_fit_costs_no_file(unfit, folder):
    (folder / "out").write_text("kept\n")

    told(conveyor(folder, "run", "lines.py:same", "--output", "out", *unfit, given="a\n"), 2)

    assert (folder / "out").read_text() == "kept\n"


def test_dead_letters_that_can_no_longer_be_kept_are_told_all_the_same(folder):
    (folder / "sub").mkdir()
    run = ["run", "lines.py:vain", "--dead-letters", "sub/letters"]

    error = conveyor(folder, *run, given="x\n").stderr

    assert "conveyor: dead letter: stage 'last' failed on item 'x'" in error
    assert f"No such file or directory: '{folder}/sub/letters'" in error


def same_file(folder: Path, how: str) -> str:
    """Another name for the file ``in``, which holds a line."""
    (folder / "in").write_text("kept\n")
    match how:
        case "by its name":
            return "in"
        case "by another path":
            return f"../{folder.name}/in"
        case "by a symlink":
            (folder / "link").symlink_to("in")
        case "by a hard link":
            os.link(folder / "in", folder / "link")
        case _:
            raise ValueError(how)
    return "link"


@pytest.mark.parametrize(
    "how", ["by its name", "by another path", "by a symlink", "by a hard link"]
)
@pytest.mark.parametrize("option", ["--output", "--dead-letters", "--trace", "--report"])
def test_a_file_is_not_written_over_that_is_read(how, option, folder):
    run = ["run", "lines.py:same", "--input", "in", option, same_file(folder, how)]

    error = told(conveyor(folder, *run), 2)

    assert f"conveyor: {option} and --input are the same file" in error
    assert (folder / "in").read_text() == "kept\n"


def test_two_files_that_are_written_are_not_one(folder):
    (folder / "link").symlink_to("new")
    run = ["run", "lines.py:same", "--output", "new", "--dead-letters", "link"]

    error = told(conveyor(folder, *run, given="a\n"), 2)

    assert "--dead-letters and --output are the same file, 'link'" in error
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("--output in < in", "the standard input and --output are the same file, 'in'"),
        ("--input in >> in", "the standard output and --input are the same file, 'in'"),
        ("< in >> in", "the standard output and the standard input are the same file: "),
    ],
)
def test_a_standard_stream_is_a_file_as_well(where, named, folder):
    same_file(folder, "by its name")

    ended = in_shell(folder, f"run lines.py:same {where}")

    assert named in told(ended, 2)
    assert (folder / "in").read_text() == "kept\n"


def test_what_is_no_ordinary_file_may_be_both_ends(folder):
    run = ["run", "lines.py:same", "--input", "/dev/null", "--output", "/dev/null"]

    assert conveyor(folder, *run).returncode == 0


@pytest.mark.quick
@pytest.mark.parametrize("target", ["lines.py:shout", "lines:shout", "lines.py:made"])
def test_lines_in_lines_out(folder, target):
    ended = conveyor(folder, "run", target, "--ordered", given="a b\nc\n")

    assert (ended.returncode, ended.stdout) == (0, "A\nB\nC\n")
    assert ended.stderr.splitlines() == ["shouting"] * 3


def test_dead_letters_are_told_and_kept(folder):
    given = "1\nx\n2\ny\n"
    ended = conveyor(folder, "run", "lines.py:lenient", "--ordered", given=given)
    assert (ended.returncode, ended.stdout) == (0, "1.0\n2.0\n")
    assert [line.partition(" failed on item ")[2][:3] for line in ended.stderr.splitlines()] == [
        "'x'",
        "'y'",
    ]

    conveyor(folder, "run", "lines.py:lenient", "--dead-letters", "letters", given=given)
    assert [letter.item for letter in DeadLetters.load(folder / "letters")] == ["x", "y"]


def test_a_run_that_fails_too_often_ends_and_keeps_its_dead_letters(folder):
    options = ("--max-failures", "1", "--dead-letters", "letters")
    ended = conveyor(folder, "run", "lines.py:lenient", *options, given="x\ny\nz\n" * 100)
    assert ended.returncode == 1
    assert "max_failures=1" in ended.stderr
    assert len(DeadLetters.load(folder / "letters")) >= 2


def test_a_run_that_stands_still_ends_and_says_where(folder):
    ended = conveyor(folder, "run", "lines.py:locked_up", "--stalled", "0.5", given="a\n")
    assert "still at stage 'locked_up' on item 'a' for 0.5 s" in told(ended, 1)
    assert "in wait" in ended.stderr


def test_a_file_that_is_no_module_is_run_where_it_is(folder):
    script = folder / "sub" / "an other.py"
    script.parent.mkdir()
    script.write_text(
        "from helper import *\nfrom conveyor import Processor\nrun = Processor(twice)"
    )
    (script.parent / "helper.py").write_text("def twice(text):\n    return text * 2")

    ended = conveyor(folder, "run", "sub/an other.py:run", given="ab\n")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "abab\n", "")


def test_a_file_that_guards_nothing_is_not_run_again_in_workers(folder):
    script = folder / "script.py"
    body = "print('imported')\nprint((Feed() >> Processor(str.upper) % 2).run(['a']))\n"
    script.write_text(PIPELINES.partition("if __name__")[0] + body)

    ended = conveyor(folder, "run", "script.py:shout", given="b\n")

    assert (ended.returncode, ended.stdout) == (0, "B\n")
    assert ended.stderr.splitlines() == ["imported", "['A']", "shouting"]


def test_json_lines_and_csv(folder):
    (folder / "in.csv").write_text('a,b\n1,2\n"3",4\n')
    run = ["run", "lines.py:fields", "--engine", "inline"]

    as_csv = conveyor(folder, *run, "--input", "in.csv", "--format", "csv")
    as_json = conveyor(
        folder, *run, "--format", "jsonl", "--output", "out", given='{"a": 1, "b": 2}\n\n'
    )

    assert as_csv.stdout == "a,b,total\n1,2,3\n3,4,7\n"
    assert (as_json.stdout, (folder / "out").read_text()) == ("", '{"a": 1, "b": 2, "total": 3}\n')


def test_a_field_of_csv_may_be_a_long_text_but_not_the_rest_of_a_file(folder):
    run = ["run", "lines.py:same", "--engine", "inline", "--format", "csv"]
    text = f"a\n{'long ' * 100_000}\n"
    assert conveyor(folder, *run, given=text).stdout == text

    (folder / "in.csv").write_text('a\n"' + "never closed\n" * 1_500_000)
    told_of = told(conveyor(folder, *run, "--input", "in.csv"), 1)
    assert "is no CSV behind line" in told_of
    assert "field larger than field limit" in told_of


def test_half_a_letter_is_escaped_in_json(folder):
    given = '["\\ud800", "größe"]\n'

    ended = conveyor(
        folder, "run", "lines.py:same", "--engine", "inline", "--format", "jsonl", given=given
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, given, "")


def test_ends_of_lines_in_a_field_of_csv_can_be_read_again(folder):
    rows = b'a,b\n"1\r2","3\n4"\n"5\r\n","\r"\n'
    (folder / "in.csv").write_bytes(rows)

    run = ["run", "lines.py:same", "--engine", "inline", "--format", "csv"]
    conveyor(folder, *run, "--input", "in.csv", "--output", "out.csv")

    assert (folder / "out.csv").read_bytes() == rows


@pytest.mark.parametrize(
    ("form", "given", "item"),
    [
        ("csv", "a,b\n1,2\n", '{"a": "1", "b": "2"}'),
        ("csv", '"a"\n1\n', '{"a": "1"}'),
        ("jsonl", "[1]\n", "[1]"),
        ("lines", "größe\n", '"größe"'),
        ("lines", "\ufeff\n", '"\ufeff"'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_first_item(form, given, item, folder):
    run = ["run", "lines.py:same", "--engine", "inline", "--format", form]

    ended = conveyor(folder, *run, "--output-format", "jsonl", given=f"\ufeff{given}")

    assert (ended.stdout, ended.stderr) == (f"{item}\n", "")


def test_outputs_may_be_written_in_another_form_than_the_items(folder):
    run = ["run", "lines.py:same", "--output-format", "jsonl"]

    ended = conveyor(folder, *run, given="größe\r\n\n")

    assert ended.stdout == '"größe"\n""\n'


def test_lines_that_are_no_text_pass(folder):
    command = [*COMMAND, "run", "lines.py:same"]
    how = {**options(folder), "text": False, "timeout": LIMIT}

    ended = subprocess.run(command, input=b"\xff\xfe\n", capture_output=True, check=False, **how)

    assert (ended.returncode, ended.stdout) == (0, b"\xff\xfe\n")


def test_long_lines_and_letters_of_many_bytes_come_whole(folder):
    given = "".join(f"{'größe' * n}\n" for n in (0, 1, 20_000, 40_000)) + "数据"

    ended = conveyor(folder, "run", "lines.py:same", "--engine", "inline", given=given)

    assert ended.stdout == given + "\n"


def test_a_source_needs_no_input(folder):
    ended = conveyor(folder, "run", "lines.py:squares", "--processes", "1")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "0\n1\n4\n9\n", "")
    assert "takes no --input" in told(
        conveyor(folder, "run", "lines.py:squares", "--input", "lines.py"), 2
    )


def test_the_account_comes_as_json(folder):
    ended = conveyor(folder, "run", "lines.py:words", "--json", given="a b\n")

    assert json.loads(ended.stderr)["elements"]["words"]["items_out"] == 2


def test_progress_is_told_on_the_standard_error(folder):
    ended = conveyor(folder, "run", "lines.py:same", "--progress", given="a\nb\n")

    assert (ended.returncode, ended.stdout) == (0, "a\nb\n")
    assert re.fullmatch(r"conveyor: 2 in, 2 out, [\d,]+/s, \d:\d\d elapsed\n", ended.stderr)


def test_outputs_stand_above_the_progress_where_one_terminal_shows_both(folder):
    pytest.importorskip("rich")
    command = ("-m", "conveyor", "run", "lines.py:many", "--ordered", "--progress")
    code, screen, out = on_terminal(*command, cwd=folder)

    assert (code, out) == (0, "")
    # What is printed stands alone on a line, and the view is drawn anew below it.
    printed = re.findall(r"(?:^|\x1b\[2K)(\d+)$", screen, re.MULTILINE)
    assert printed == [str(n) for n in range(100)]
    assert "100 of 100 in, 100 out" in screen.rpartition("Source(")[2]


def test_outputs_go_to_a_pipe_though_a_terminal_shows_the_progress(folder):
    pytest.importorskip("rich")
    command = ("-m", "conveyor", "run", "lines.py:squares", "--ordered", "--progress")
    code, screen, out = on_terminal(*command, stdout=False, cwd=folder)

    assert (code, out) == (0, "0\n1\n4\n9\n")
    assert "4 of 4 in, 4 out" in screen


def test_a_run_that_fails_says_where_and_exits_with_1(folder):
    error = told(conveyor(folder, "run", "lines.py:number", given="two\n"), 1)

    assert error.startswith("conveyor: stage 'number' failed on item 'two': ValueError: ")


@pytest.mark.parametrize(
    ("target", "form", "given", "message"),
    [
        ("same", "jsonl", "1\n{\n", "line 2 of the input is no JSON: Expecting"),
        ("sets", "jsonl", "1\n", "can't be written as JSON: Object of type set"),
        ("deep", "jsonl", "1\n", "an output can't be written as JSON: "),
        ("half", "lines", "1\n", "can't be written: '\\ud800' in it is half a letter"),
        ("half", "csv", "a\n1\n", "can't be written: '\\ud800' in it is half a letter"),
        ("long", "lines", "1\n", "can't be written, since its text can't be made: ValueError: "),
        ("long", "csv", "a\n1\n", "can't be written, since its text can't be made: ValueError: "),
        ("same", "csv", "a,b\n1\n", "line 2 of the input has not as many fields as the header"),
        ("same", "csv", 'a\n"1"2\n', "the input is no CSV behind line 1: "),
        ("same", "csv", "a,b,c,b,a\n1,2,3,4,5\n", "the header of the input names 'a', 'b' more"),
    ],
)
def test_what_can_not_be_read_or_written_is_told(folder, target, form, given, message):
    run = ["run", f"lines.py:{target}", "--format", form, "--engine", "inline"]
    ended = conveyor(folder, *run, given=given)

    assert ended.returncode == 1
    assert message in ended.stderr


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("csv", "a,b,a\n1,2,3\n", "the header of 'in' names 'a' more than once"),
        ("csv", "a,b\n1\n", "line 2 of 'in' has not as many fields"),
        ("jsonl", "{\n", "line 1 of 'in' is no JSON"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(folder, form, content, message):
    (folder / "in").write_text(content)

    ended = conveyor(folder, "run", "lines.py:same", "--format", form, "--input", "in")

    assert message in told(ended, 1)


def test_outputs_come_while_the_input_goes_on_and_nobody_reading_ends_it(folder):
    reader, writer = os.pipe()
    how = {**options(folder), "stdin": reader, "stdout": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, "run", "lines.py:words"], **how) as process:
        assert process.stdout is not None
        os.close(reader)
        os.write(writer, b"a b\n" * 1000)
        assert process.stdout.readline() == "a\n"
        process.stdout.close()
        write_for_ever(writer)
        os.close(writer)
        assert process.wait(LIMIT) == 141


def test_an_output_does_not_wait_for_the_next_item(folder):
    how = {**options(folder), "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, "run", "lines.py:words", "--ordered"], **how) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for given in ("a\nb c\n", "d\nhal", "f e\n"):
            process.stdin.write(given)
            process.stdin.flush()
            for word in given.rpartition("\n")[0].split():
                assert process.stdout.readline().strip() == {"f": "half"}.get(word, word)
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_closed_standard_stream_is_told(folder, closed):
    ended = in_shell(folder, f"run lines.py:words {closed}")

    assert ended.returncode == 2
    assert ended.stderr.endswith("put is closed\n")


@pytest.mark.parametrize("command", ["check", "run"])
def test_what_programs_and_libraries_write_is_not_among_the_outputs(folder, command):
    (folder / "loud.py").write_text(
        """
import os
import subprocess

from conveyor import processor

os.write(1, b"imported\\n")

@processor
def loud(line: str):
    subprocess.run(["echo", "program"], check=True)
    os.write(1, b"library\\n")
    return line.upper()
"""
    )
    ended = conveyor(folder, command, "loud.py:loud", given="a\n")

    wanted = {"check": "loud.py:loud is sound: loud\n", "run": "A\n"}[command]
    assert (ended.returncode, ended.stdout) == (0, wanted)
    told = ended.stderr.split()
    assert "imported" in told
    assert ("program" in told, "library" in told) == (command == "run",) * 2


def test_a_standard_error_that_is_closed_is_not_where_the_outputs_go(folder):
    (folder / "loud.py").write_text(
        """
import os
from contextlib import suppress

from conveyor import processor

@processor
def loud(line: str):
    with suppress(OSError):
        os.write(2, b"for nobody\\n")
    return line.upper()
"""
    )
    (folder / "in").write_text("a\n")
    ended = in_shell(folder, "run loud.py:loud --engine inline < in 2>&-")
    assert (ended.returncode, ended.stdout) == (0, "A\n")


def test_nobody_is_told_where_the_standard_error_is_closed(folder):
    (folder / "in").write_text("1\nx\n")

    ran = in_shell(folder, "run lines.py:lenient --engine inline --json < in 2>&-")
    refused = in_shell(folder, "check lines.py:no 2>&-")

    assert (ran.returncode, ran.stdout) == (0, "1.0\n")
    assert refused.returncode == 2


def write_for_ever(fd: int) -> None:
    """Write until nobody reads any more."""
    try:
        while True:
            os.write(fd, b"a b\n" * 1000)
    except BrokenPipeError:
        pass


def test_a_closed_pipe_is_no_news(folder):
    command = f"yes 'a b' | '{sys.executable}' -m conveyor run lines.py:words | head -1"

    ended = subprocess.run(
        command, shell=True, capture_output=True, check=False, timeout=LIMIT, **options(folder)
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a\n", "")


def test_ctrl_c_ends_it_quietly(folder):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    how = {**options(folder), **pipes, "start_new_session": True}
    with subprocess.Popen([*COMMAND, "run", "lines.py:words"], **how) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("a\n" * 10)
        process.stdin.flush()
        assert process.stdout.readline() == "a\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LIMIT) == 130
        assert process.stderr.read() == ""


# -- check, draw, explain --


def test_check_says_that_a_pipeline_is_sound(folder):
    ended = conveyor(folder, "check", "lines.py:shout")

    assert ended.stdout == "lines.py:shout is sound: words >> word >> Shout() % 2\n"
    assert (ended.returncode, ended.stderr) == (0, "")


def test_check_tells_what_is_not_sound(folder):
    error = told(conveyor(folder, "check", "lines.py:unsound"), 1)
    ended = conveyor(folder, "check", "lines.py:unsound", "--json")

    assert "words & word\n          ^\n" in error
    assert "Traceback" not in error
    assert (ended.returncode, json.loads(ended.stdout)["rules"]) == (1, ["join"])


REFUSED = """
from functools import partial
from conveyor import *
from elsewhere import there

@processor
def a(text: str) -> str:
    return text

def given():
    return a * a

class Made:
    inside = a * a

    @classmethod
    def given(cls):
        return a * a

def compiled():
    return (a * a).compile()

@processor
def two(one, other):
    return one

written = Feed() >> a
written = (
    a * a
)
if True:
    below: Element = a * a
made = partial(Pipeline, a, Join(), a)
"""


@pytest.fixture
def refused(folder: Path) -> Path:
    (folder / "refused.py").write_text(REFUSED)
    (folder / "elsewhere.py").write_text("from conveyor import *\nthere = Pipe() >> Pipe()")
    return folder


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("refused.py:given", "def given():"),
        ("refused.py:Made.given", "    @classmethod"),
        ("refused.py:compiled", "    return (a * a).compile()"),
        ("refused.py:two", "def two(one, other):"),
        ("refused.py:written", "written = ("),
        ("refused:written", "written = ("),
        ("refused.py:below", "    below: Element = a * a"),
        ("refused.py:made", "made = partial(Pipeline, a, Join(), a)"),
    ],
)
def test_what_is_refused_is_told_with_the_line_that_builds_it(target, line, refused):
    error = told(conveyor(refused, "check", target), 1)

    number = REFUSED.splitlines().index(line) + 1
    assert error.endswith(f"\n  at {refused}/refused.py:{number}\n")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("check", "there"),
        ("draw", "Made.inside"),
        ("explain", "there"),
        ("run", "Made.inside"),
    ],
)
def test_what_no_line_is_known_for_is_told_by_its_target(command, name, refused):
    error = told(conveyor(refused, command, f"refused.py:{name}"), 1)

    assert error.endswith(f"\n  at refused.py:{name}\n")


def test_a_program_is_told_the_line_as_well(refused):
    ended = conveyor(refused, "check", "refused.py:below", "--json")

    number = REFUSED.splitlines().index("    below: Element = a * a") + 1
    assert json.loads(ended.stdout)["message"].endswith(f"\n  at {refused}/refused.py:{number}")


def test_check_finds_what_can_not_travel(folder):
    error = told(conveyor(folder, "check", "lines.py:locked"), 1)

    assert "the processor of stage 'locked' can't be sent to its worker: self.lock" in error


def test_check_finds_what_can_not_be_loaded(folder):
    (folder / "unfit.py").write_text(
        "from conveyor import *\nclass Unfit(Processor):\n"
        "    def process(self, line): return line\n"
        "    def __reduce__(self): return int, ('no number',)\nunfit = Unfit()\n"
    )
    error = told(conveyor(folder, "check", "unfit.py:unfit"), 1)

    assert "stage 'unfit' can't be sent to its worker: loading it: ValueError" in error


def test_draw_writes_a_picture_or_prints_it(folder):
    written = conveyor(folder, "draw", "lines.py:shout", "--output", "shout.svg")
    printed = conveyor(folder, "draw", "lines.py:shout", "--format", "mmd")

    assert (written.returncode, written.stdout) == (0, "")
    assert (folder / "shout.svg").read_text().startswith("<svg ")
    assert printed.stdout.startswith("flowchart LR\n")
    assert ".svg, .mmd" in told(conveyor(folder, "draw", "lines.py:shout", "--output", "a.b"), 2)


def test_what_the_standard_output_can_not_encode_is_shown_escaped(folder, monkeypatch):
    (folder / "umlaut.py").write_text(
        "from conveyor import *\n@processor\ndef größe(line):\n    return line\n"
        "pipeline = größe >> größe % 2"
    )
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    checked = conveyor(folder, "check", "umlaut.py:pipeline")
    drawn = conveyor(folder, "draw", "umlaut.py:pipeline")
    explained = conveyor(folder, "explain", "umlaut.py:pipeline")

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "is sound: gr\\xf6\\xdfe >> gr\\xf6\\xdfe % 2" in checked.stdout
    assert "\\u251c\\u2500 gr\\xf6\\xdfe" in drawn.stdout
    assert "gr\\xf6\\xdfe" in explained.stdout


def test_explain_is_a_text_or_json(folder):
    text = conveyor(folder, "explain", "lines.py:shout", "--processes", "2").stdout
    value = json.loads(conveyor(folder, "explain", "lines.py:shout", "--json").stdout)

    assert "- processes=2: words and word share a process" in text
    assert value["processes"] == 4
    assert {"source": "feed", "target": "words", "capacity": None} in value["channels"]


# -- what does not fit --


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("lines", "TARGET is module:name or file.py:name, not 'lines'"),
        ("no.py:shout", "there is no file 'no.py'"),
        ("no_module:shout", "there is no module 'no_module'"),
        ("lines.py:no", "there is no 'no' in lines.py; of pipelines it has words, word, "),
        ("lines.py:items", "lines.py:items is no pipeline, but of type list"),
        ("lines.py:with_argument", "can't be called without arguments: missing a required"),
        ("lines.py:dict", "there is no 'dict'"),
    ],
)
def test_a_target_that_is_none_is_told_with_2(folder, target, message):
    assert message in told(conveyor(folder, "check", target), 2)


def test_what_the_users_code_raises_is_shown_from_there_on(folder):
    (folder / "syntax.py").write_text("def")

    raised = told(conveyor(folder, "check", "lines.py:raising"), 1).splitlines()
    unreadable = told(conveyor(folder, "check", "syntax:a"), 1)

    assert raised[0] == "conveyor: Traceback (most recent call last):"
    assert "lines.py" in raised[1]
    assert raised[-1] == "ZeroDivisionError: division by zero"
    assert "SyntaxError" in unreadable


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        ("without", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("lazy.made", "ZeroDivisionError: division by zero"),
    ],
)
@pytest.mark.parametrize("place", ["lines", "lines.py"])
def test_what_is_made_when_it_is_asked_for_may_fail(folder, place, name, raised):
    traceback = told(conveyor(folder, "check", f"{place}:{name}"), 1).splitlines()

    assert "lines.py" in traceback[1]
    assert traceback[-1] == raised


@pytest.mark.parametrize(
    "arguments",
    [(), ("fly",), ("run",), ("run", "lines.py:same", "--processes", "x")],
    ids=" ".join,
)
def test_a_command_that_is_none_exits_with_2(folder, arguments):
    assert "usage: conveyor" in told(conveyor(folder, *arguments), 2)


@pytest.mark.parametrize(
    "arguments", [("--processes", "0"), ("--input", "no such file")], ids=" ".join
)
def test_values_that_do_not_fit_are_told_with_2(folder, arguments):
    error = told(conveyor(folder, "run", "lines.py:same", *arguments), 2)

    assert error.startswith("conveyor: ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("value", ["x", "1.5", "-1", "0.0", "nan"])
def test_how_many_failures_are_borne_is_a_count_or_a_share(folder, value):
    error = told(conveyor(folder, "run", "lines.py:same", f"--max-failures={value}"), 2)

    assert "--max-failures: it takes a count, such as 10, or a share of the items" in error
    assert f"not {value!r}" in error
    assert "_failures value" not in error


def test_help_has_examples_and_the_exit_codes(folder):
    ended = conveyor(folder, "--help")

    assert "conveyor run pipelines.py:clean < raw.txt > clean.txt" in ended.stdout
    assert "141  nobody reads the output any more" in ended.stdout


def test_the_command_is_installed_with_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    module, _, name = project["project"]["scripts"]["conveyor"].partition(":")

    assert callable(getattr(importlib.import_module(module), name))
