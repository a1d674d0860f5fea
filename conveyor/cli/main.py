"""The commands, their arguments, and what they exit with."""

from __future__ import annotations

import argparse
import io
import json
import os
import stat
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from conveyor import (
    ConstructionError,
    ConveyorError,
    DeadLetter,
    DeadLetters,
    UsageError,
    __version__,
)
from conveyor.cli.apart import see_that_apart
from conveyor.cli.records import FORMATS, Items, RecordError
from conveyor.cli.streams import output_apart, standard
from conveyor.cli.target import TargetError, UserError, load
from conveyor.engines.base import Live
from conveyor.engines.files import see_that_writable, write_whole
from conveyor.engines.letters import checked_limit
from conveyor.engines.opening import explain, open_engine, see_that_it_travels
from conveyor.graph.draw import PICTURES, picture
from conveyor.seeing.report import report

OK, FAILED, USAGE, INTERRUPTED, CLOSED = 0, 1, 2, 130, 141

_ABOUT = """\
Check, draw, explain and run pipelines. TARGET is module:name or file.py:name, where name is a
pipeline, or a function of no arguments that gives one."""

_EPILOG = f"""\
examples:
  conveyor check pipelines.py:census
  conveyor draw pipelines.py:census --output census.svg
  conveyor explain pipelines.py:census --processes 4
  conveyor run pipelines.py:clean < raw.txt > clean.txt
  conveyor run pipelines.py:alerts --format jsonl --input log.jsonl | head -1

exit codes:
  {OK}    all went well
  {FAILED}    the pipeline breaks a rule, or its run failed
  {USAGE}    the command line does not fit: no such option, file, module or name
  {INTERRUPTED}  stopped by Ctrl-C
  {CLOSED}  nobody reads the output any more, as with: | head -1
"""

_PLANNED: Mapping[str, Mapping[str, Any]] = {
    "ordered": {"action": "store_true", "help": "outputs in the order of the inputs"},
    "processes": {"type": int, "metavar": "N", "help": "the most worker processes"},
}
"""The options that shape the plan, passed on by their names."""

_RUN: Mapping[str, Mapping[str, Any]] = {
    **_PLANNED,
    "engine": {
        "default": "processes",
        "choices": ("processes", "inline"),
        "help": "inline runs all in this process, for debugging",
    },
    "stalled": {
        "type": float,
        "metavar": "SECONDS",
        "help": "end the run, and tell who waits for whom, when nothing moves for so long",
    },
}
"""The options of a run, passed on by their names."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: what stands behind the name of the command; unset, those of this process.
    """
    args = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace, TextIO], int] = args.command
    try:
        with output_apart(standard(sys.stdout, "output")) as out:
            return command(args, out)
    except BrokenPipeError:
        return CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (TargetError, UsageError, OSError) as error:
        return _complain(error, USAGE)
    except (ConveyorError, RecordError, UserError) as error:
        return _complain(error, FAILED)


def _complain(error: Exception, code: int) -> int:
    _tell(f"conveyor: {error}")
    return code


def _tell(text: str) -> None:
    """Write a line to the standard error, if there is one: that it is closed changes nothing."""
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")


# -- the commands --


def _check(args: argparse.Namespace, out: TextIO) -> int:
    try:
        pipeline, graph = load(args.target)
        see_that_it_travels(graph)
    except ConveyorError as error:
        if not args.json:
            raise
        rules = list(error.rules) if isinstance(error, ConstructionError) else []
        told = {"ok": False, "error": type(error).__name__, "rules": rules, "message": str(error)}
        out.write(json.dumps({"target": args.target, **told}, indent=2) + "\n")
        return FAILED
    if args.json:
        told = {"ok": True, "expression": repr(pipeline), "graph": json.loads(graph.to_json())}
        out.write(json.dumps({"target": args.target, **told}, indent=2) + "\n")
    else:
        out.write(f"{args.target} is sound: {pipeline!r}\n")
    return OK


def _draw(args: argparse.Namespace, out: TextIO) -> int:
    _, graph = load(args.target)
    if args.output is None:
        out.write(picture(graph, f".{args.format or 'txt'}"))
    else:
        path = Path(args.output)
        path.write_text(picture(graph, f".{args.format}" if args.format else path.suffix), "utf-8")
    return OK


def _explain(args: argparse.Namespace, out: TextIO) -> int:
    _, graph = load(args.target)
    explanation = explain(graph, **_named(args, _PLANNED))
    text = json.dumps(explanation.to_dict(), indent=2) if args.json else str(explanation)
    out.write(text + "\n")
    return OK


def _run(args: argparse.Namespace, out: TextIO) -> int:
    pipeline, graph = load(args.target)
    takes_items = any(node.kind == "feed" for node in graph.processors)
    if args.input is not None and not takes_items:
        raise UsageError(f"{args.target} starts with a source, so it takes no --input")
    see_that_apart(_files(args, out, reads=takes_items))
    with ExitStack() as files:
        live = open_engine(graph, once=True, written=pipeline, **_named(args, _RUN))
        keep = _Report(args.report, live) if args.report is not None else None
        left = None if args.dead_letters is None else _writable(args.dead_letters, "dead letters")
        items = None
        if takes_items:
            source = files.enter_context(_input(args.input))
            name = "the input" if args.input is None else repr(args.input)
            items = Items(FORMATS[args.format], source.fileno(), name)
        stream = live.stream(
            items, max_failures=args.max_failures, progress=args.progress, trace=args.trace
        )
        # Only now is a file emptied: what does not fit has been refused.
        target = files.enter_context(_output(args.output, out))
        # On a terminal that shows the progress, too, outputs are printed as all else is: above it.
        is_shared = args.progress and all(map(_is_terminal, (target, sys.stderr)))
        files.callback(_leave, stream.dead_letters, left)
        if keep is not None:
            files.push(keep.write)
        with live, closing(stream) as outputs:
            # What a program reads, or a person, is to get there at once.
            waits = stat.S_ISREG(os.fstat(target.fileno()).st_mode)
            for text in FORMATS[args.output_format or args.format].write(outputs):
                (sys.stdout if is_shared else target).write(text)
                if not waits:
                    target.flush()
                if left is None:
                    if keep is not None:
                        keep.take(stream.dead_letters)
                    _tell_of(stream.dead_letters)
        target.flush()
    if args.json:
        stats = live.stats()
        _tell(json.dumps(None if stats is None else stats.to_dict()))
    return OK


class _Report:
    """The report of a run, written at its end, however that comes."""

    MOST = 1000
    """The most dead letters that are kept for it."""

    def __init__(self, path: str, live: Live[Any]) -> None:
        self._path = _writable(path, "report")
        self._live = live
        self._letters: list[DeadLetter] = []

    def take(self, letters: DeadLetters) -> None:
        """Keep dead letters that are about to be forgotten."""
        self._letters += letters[: self.MOST - len(self._letters)]

    def write(self, _: object, error: BaseException | None, __: object) -> bool:
        """Write it: of a run that has ended with this error, if any."""
        stats = self._live.stats() if error is None else self._live.broken_off
        if stats is not None:
            self.take(self._live.dead_letters)
            page = report(
                stats, written=repr(self._live.written), letters=self._letters, error=error
            )
            write_whole(self._path, page.encode("utf-8", "backslashreplace"))
        return False


def _tell_of(letters: DeadLetters) -> None:
    """Tell of items that failed for good, and forget them."""
    for letter in letters:
        _tell(f"conveyor: dead letter: {str(letter.error).splitlines()[0]}")
    letters.clear()


def _leave(letters: DeadLetters, path: Path | None) -> None:
    """Write dead letters to their file, however the run ended, and tell of them in any case."""
    try:
        if path is not None:
            letters.save(path)
    finally:
        _tell_of(letters)


def _writable(path: str, what: str) -> Path:
    """Where a file goes at the end, wherever the user's code has gone to until then."""
    file = Path(path).absolute()
    see_that_writable(file, f"the {what}")
    return file


def _failures(text: str) -> float:
    """A count, or a share such as 0.05."""
    try:
        limit = checked_limit(float(text) if "." in text else int(text))
    except (ValueError, UsageError):
        limit = None
    if limit is None:
        raise argparse.ArgumentTypeError(
            "it takes a count, such as 10, or a share of the items between 0 and 1, such as "
            f"0.05, not {text!r}"
        )
    return limit


def _files(args: argparse.Namespace, out: TextIO, *, reads: bool) -> dict[str, str | TextIO | None]:
    """What a run reads, where it does, and what it writes: the paths, or the streams."""
    options = ("input", "output", "dead_letters", "trace", "report")
    files: dict[str, str | TextIO | None] = {_option(name): getattr(args, name) for name in options}
    if reads and args.input is None:
        files["the standard input"] = sys.stdin
    if args.output is None:
        files["the standard output"] = out
    return files


def _named(args: argparse.Namespace, options: Mapping[str, object]) -> dict[str, Any]:
    return {name: getattr(args, name) for name in options}


@contextmanager
def _input(path: str | None) -> Generator[IO[Any]]:
    """A file to read; the standard input is not closed."""
    if path is not None:
        with Path(path).open("rb") as file:
            yield file
    else:
        yield standard(sys.stdin, "input")


@contextmanager
def _output(path: str | None, out: TextIO) -> Generator[TextIO]:
    """A text file to write, or the standard output in the same encoding; that is not closed."""
    encoding, errors = "utf-8", "surrogateescape"
    if path is not None:
        with Path(path).open("w", encoding=encoding, errors=errors, newline="") as file:
            yield file
    else:
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(encoding=encoding, errors=errors, newline="")
        yield out


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


# -- the command line --


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conveyor",
        description=_ABOUT,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"conveyor {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    check = _command(commands, "check", _check, "see that a pipeline is sound; nothing is started")
    _add_json(check, "the verdict, and the graph or the error")

    draw = _command(commands, "draw", _draw, "draw a pipeline")
    kinds = [suffix.removeprefix(".") for suffix in PICTURES]
    draw.add_argument("--output", metavar="FILE", help="where to; unset, the standard output")
    draw.add_argument(
        "--format", choices=kinds, help="unset, as the suffix of FILE says; txt where there is none"
    )

    plan = _command(commands, "explain", _explain, "tell what would run, and why")
    _add(plan, _PLANNED)
    _add_json(plan, "workers, channels and rules")

    run = _command(commands, "run", _run, "run a pipeline over the items of a file")
    formats = "; ".join(f"{name}: {form.help}" for name, form in FORMATS.items())
    run.add_argument("--input", metavar="FILE", help="the items; unset, the standard input")
    run.add_argument("--output", metavar="FILE", help="where to; unset, the standard output")
    run.add_argument("--format", choices=FORMATS, default="lines", help=f"{formats} (lines)")
    run.add_argument(
        "--output-format", choices=FORMATS, help="how outputs are written; unset, as --format"
    )
    _add(run, _RUN)
    run.add_argument(
        "--max-failures",
        type=_failures,
        metavar="N",
        help="end the run after more failures than this: a count, or a share such as 0.05",
    )
    run.add_argument(
        "--dead-letters",
        metavar="FILE",
        help="where items go that failed for good; they are told on the standard error",
    )
    run.add_argument(
        "--progress", action="store_true", help="show how far it has got, on the standard error"
    )
    run.add_argument(
        "--trace", metavar="FILE", help="where a trace of the run goes, for https://ui.perfetto.dev"
    )
    run.add_argument(
        "--report", metavar="FILE", help="where a report of the run goes: one page for a browser"
    )
    _add_json(run, "the account of every item, to the standard error")
    return parser


def _command(
    commands: Any, name: str, command: Callable[[argparse.Namespace, TextIO], int], about: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)
    parser.add_argument("target", metavar="TARGET", help="module:name or file.py:name")
    return parser


def _add(parser: argparse.ArgumentParser, options: Mapping[str, Mapping[str, Any]]) -> None:
    for name, how in options.items():
        parser.add_argument(_option(name), **how)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_json(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"{what}, as JSON")
