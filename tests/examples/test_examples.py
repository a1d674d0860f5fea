"""Every example, run as its reader would run it: as a script, from the root of the project."""

import ast
import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import tokenize
import warnings
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}
STDLIB = Path(sysconfig.get_paths()["stdlib"])
ENGINES = ["inline", "processes"]


def run(*arguments, exits_with=0):
    """Run Python with these arguments. The limit only keeps a hang from lasting."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=250,
        check=False,
    )
    assert done.returncode == exits_with, done.stderr
    return done


def promised(example):
    """What the docstring of an example says that it prints."""
    docstring = ast.get_docstring(ast.parse(EXAMPLES[example].read_text("utf-8")))
    found = re.search(r"^Expected output.*:\n\n(.*)", docstring, re.MULTILINE | re.DOTALL)
    assert found, f"{example} does not say what it prints"
    return textwrap.dedent(found[1]).strip() + "\n"


def without_trailing_space(text):
    return "".join(line.rstrip() + "\n" for line in text.strip("\n").splitlines())


@pytest.mark.parametrize("example", sorted(set(EXAMPLES) - {"code_census"}))
def test_an_example_prints_what_its_docstring_says(example):
    if example == "digits":
        pytest.importorskip("sklearn")

    done = run(EXAMPLES[example])

    assert without_trailing_space(done.stdout) == promised(example)
    assert done.stderr == ""


@pytest.mark.quick
def test_the_census_prints_what_its_docstring_says():
    want = promised("code_census")

    got = without_trailing_space(run(EXAMPLES["code_census"], STDLIB / "json").stdout)

    loosely = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(want, got, loosely), got


def test_digits_says_what_it_needs():
    script = "import runpy, sys; sys.modules['sklearn'] = None; runpy.run_path(sys.argv[1])"

    done = run("-c", script, EXAMPLES["digits"], exits_with=1)

    assert done.stderr == 'this needs scikit-learn: pip install "conveyor-dsl[examples]"\n'


@pytest.mark.parametrize("example", sorted(set(EXAMPLES) - {"code_census", "digits"}))
def test_the_short_examples_are_short(example):
    assert len(EXAMPLES[example].read_text("utf-8").splitlines()) < 60


# -- the census --


def census(folder, *options):
    """What the census counts in a folder."""
    return json.loads(run(EXAMPLES["code_census"], folder, "--json", *options).stdout)


@pytest.fixture
def folder(tmp_path):
    """A folder with a bit of everything, good and bad."""
    files = {
        "good.py": b"def f(a: int, b) -> None:\n    'Doc.'\n    return a or b",
        "empty.py": b"",
        "part/latin.py": b"# coding: latin-1\nname = '\xe9'\n",
        "part/windows.py": b"\xef\xbb\xbfx = 1\r\ny = 2\r\n",
        "part/odd_escape.py": b"x = '\\d'\n",
        "bad/broken.py": b"x = 1\ndef f(:\n",
        "bad/not_utf8.py": b"name = '\xe9'\n",
        "bad/no_such_encoding.py": b"# coding: klingon\n",
        "bad/null.py": b"x = 1\0\n",
        "bad/python2.py": b"print 'hello'\n",
        "notes.txt": b"def no_python(",
        ".hidden/h.py": b"def left_out(): pass\n",
        "site-packages/p.py": b"def left_out(): pass\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "dangling.py").symlink_to("nowhere.py")
    return tmp_path


def test_the_census_counts_what_parses(folder):
    assert census(folder, "--engine", "inline")["total"] == {
        "files": 5,
        "lines": 3 + 0 + 2 + 2 + 1,
        "statements": 3 + 0 + 1 + 2 + 1,
        "definitions": 6,
        "documented": 1,
        "typable": 3,
        "typed": 2,
        "functions": 1,
        "complexity": 2,
    }


def test_the_census_says_which_files_it_leaves_out_and_why(folder):
    skipped = census(folder, "--engine", "inline")["skipped"]

    assert list(skipped) == [
        "bad/broken.py",
        "bad/no_such_encoding.py",
        "bad/not_utf8.py",
        "bad/null.py",
        "bad/python2.py",
    ]
    assert skipped["bad/broken.py"] == "line 2: invalid syntax"
    assert skipped["bad/no_such_encoding.py"] == "unknown encoding: klingon"
    assert "null bytes" in skipped["bad/null.py"]


def test_the_census_prints_what_it_leaves_out(folder):
    lines = run(EXAMPLES["code_census"], folder, "--engine", "inline").stdout.splitlines()

    title = lines.index("Left out, since they could not be parsed: 5")
    assert [line.split()[0] for line in lines[title + 1 :]] == [
        "bad/broken.py",
        "bad/no_such_encoding.py",
        "bad/not_utf8.py",
        "bad/null.py",
        "bad/python2.py",
    ]


def test_where_nothing_parses_there_is_only_what_was_left_out(tmp_path):
    (tmp_path / "a.py").write_text("(")

    done = run(EXAMPLES["code_census"], tmp_path, "--engine", "inline")

    assert done.stdout.splitlines()[2:] == [
        "Left out, since they could not be parsed: 1",
        "  a.py  line 1: '(' was never closed",
    ]


def test_names_that_the_terminal_cannot_show_are_escaped(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("def größe(): pass\n", "utf-8")
    (tmp_path / os.fsdecode(b"\xff.py")).touch()
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    done = run(EXAMPLES["code_census"], tmp_path, "--engine", "inline")

    assert r"gr\xf6\xdfe" in done.stdout
    assert r"\udcff.py" in done.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_an_empty_folder_is_no_error(tmp_path, engine):
    done = run(EXAMPLES["code_census"], tmp_path, "--engine", engine)

    assert done.stdout == f"{tmp_path}\n\nno Python files here\n"
    assert census(tmp_path, "--engine", engine)["total"] == {}


@pytest.mark.parametrize("name", ["missing", "file.py"])
def test_what_is_no_folder_is_told_without_a_traceback(tmp_path, name):
    (tmp_path / "file.py").touch()

    done = run(EXAMPLES["code_census"], tmp_path / name, exits_with=2)

    assert done.stdout == ""
    assert done.stderr.endswith(f"error: there is no folder {tmp_path / name}\n")


def test_top_shortens_every_table(folder):
    (folder / "more.py").write_text("def f(): pass\ndef g(): pass\n")

    done = run(EXAMPLES["code_census"], folder, "--top", "1", "--engine", "inline")

    assert done.stdout.count("more.py:") == 0
    assert re.findall(r"\((\d) more\)", done.stdout) == ["3", "4"]


def test_the_census_says_on_stderr_what_it_is_doing(folder):
    done = run(EXAMPLES["code_census"], folder)

    news = done.stderr.splitlines()
    assert news[0] == f"census: counting {folder}"
    assert news[-1].startswith("census: 10 files in ")
    assert all(line.startswith("census: ") for line in news)


DECISIONS = {
    "pass": 1,
    "if a: pass\nelif b: pass\nelse: pass": 3,
    "return a if b else c": 2,
    "return a and b and c or d": 4,
    "for x in a: pass": 2,
    "for x in a: pass\nelse: pass": 3,
    "while a: pass\nelse: pass": 3,
    "try: pass\nexcept A: pass\nexcept B: pass\nelse: pass\nfinally: pass": 4,
    "try: pass\nexcept* A: pass": 2,
    "with a, b: pass": 1,
    "assert a": 2,
    "assert a and b": 2,
    "return [x for x in a for y in x if y if x]": 5,
    "return lambda: a or b": 2,
    "match a:\n case 1: pass\n case 2: pass\n case _: pass": 3,
    "match a:\n case 1: pass\n case 2: pass": 3,
    "def inner():\n if a: pass": 1,
    "class Inner:\n x = a or b": 1,
    "@(a or b)\ndef inner(x=a or b): pass": 1,
}


def test_each_kind_of_decision_counts_as_the_docstring_says(tmp_path):
    functions = [
        f"def {name}():\n{textwrap.indent(body, ' ')}\n" for name, body in named(DECISIONS)
    ]
    (tmp_path / "a.py").write_text("".join(functions))

    found = census(tmp_path, "--engine", "inline")["functions"]

    counted = {function["function"]: function["complexity"] for function in found}
    assert {body: counted[name] for name, body in named(DECISIONS)} == DECISIONS
    assert all(sum(f["decisions"].values()) + 1 == f["complexity"] for f in found)


def named(bodies):
    return [(f"f{number}", body) for number, body in enumerate(bodies)]


# -- the census against independent counts --

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize("package", ["asyncio", "email", "json"])
def test_complexity_is_what_radon_counts(package):
    found = census(STDLIB / package, "--engine", "inline")["functions"]

    counted = {(each["file"], each["line"]): each["complexity"] for each in found}
    assert counted == counted_by_radon(STDLIB / package)


def counted_by_radon(folder):
    visitors = pytest.importorskip("radon.visitors")
    counted = {}
    for path in python_files(folder):
        for node in ast.walk(parsed(path)):
            if isinstance(node, FUNCTIONS):
                (function,) = visitors.ComplexityVisitor.from_ast(node).functions
                counted[path.relative_to(folder).as_posix(), node.lineno] = function.complexity
    return counted


def python_files(folder):
    found = folder.rglob("*.py")
    return [path for path in found if "site-packages" not in path.relative_to(folder).parts]


def parsed(path):
    with warnings.catch_warnings(action="ignore"):
        return ast.parse(path.read_bytes())


@pytest.mark.parametrize("package", ["asyncio", "email", "json"])
def test_the_totals_are_those_of_an_independent_count(package):
    total = census(STDLIB / package, "--engine", "inline")["total"]

    counted = counted_plainly(python_files(STDLIB / package))
    assert {name: total[name] for name in counted} == counted


def counted_plainly(paths):
    """Size, docstrings and annotations, counted another way than the census does."""
    names = "files lines statements functions definitions documented typable typed"
    counts = Counter(dict.fromkeys(names.split(), 0))
    for path in paths:
        with tokenize.open(path) as stream:
            counts.update(files=1, lines=sum(1 for _ in stream))
        for node in blocks(parsed(path)):
            counts["statements"] += isinstance(node, ast.stmt)
            if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
                counts.update(definitions=1, documented=bool(node.body and is_text(node.body[0])))
            if isinstance(node, FUNCTIONS):
                typable = [node.returns, *(each.annotation for each in parameters(node))]
                typed = [each for each in typable if each is not None]
                counts.update(functions=1, typable=len(typable), typed=len(typed))
    return counts


def blocks(node):
    """A module and all that is a line or more in it; what is in expressions is left out."""
    yield node
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, name, ()):
            yield from blocks(child)


def is_text(statement):
    value = getattr(statement, "value", None)
    is_expression = isinstance(statement, ast.Expr) and isinstance(value, ast.Constant)
    return is_expression and isinstance(value.value, str)


def parameters(function):
    """The parameters of a function, in the order of its text, without self and cls."""
    found = [node for node in ast.iter_child_nodes(function.args) if isinstance(node, ast.arg)]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return found[1:] if found and found[0].arg in ("self", "cls") else found


@pytest.mark.quick
def test_the_census_is_the_same_on_both_engines_ordered_or_not():
    inline = census(STDLIB / "json", "--engine", "inline")

    assert census(STDLIB / "json", "--engine", "inline", "--ordered") == inline
    assert census(STDLIB / "json", "--engine", "processes") == inline
    assert census(STDLIB / "json", "--engine", "processes", "--ordered") == inline


def test_the_census_of_many_files_is_right_on_both_engines(tmp_path):
    # Packages with many files; the main job counts the whole of the standard library.
    for package in ("asyncio", "concurrent", "email", "encodings", "importlib"):
        shutil.copytree(STDLIB / package, tmp_path / package, ignore=left_out)

    found = census(tmp_path, "--engine", "processes", "--ordered")
    assert found["total"]["files"] > 150
    assert census(tmp_path, "--engine", "processes") == found
    assert census(tmp_path, "--engine", "inline", "--ordered") == found

    counted = counted_plainly(
        set(python_files(tmp_path)) - {tmp_path / file for file in found["skipped"]}
    )
    assert {name: found["total"][name] for name in counted} == counted


left_out = shutil.ignore_patterns("__pycache__")
