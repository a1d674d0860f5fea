"""What a page of the documentation says when its blocks are run.

The Python blocks of a page are one script: they share a namespace, in order. Behind them stands
what they print: in the comment behind a `print(...)`, or, where there is none, in the `text` block
that follows. A Python block with a title is written to a file of that name. A `sh` block is run
in the same folder, and prints what the `text` block says that follows, if any does.

A block that must not run has a comment on the line before it, which says why:

    <!-- not run: it installs things -->

Where seconds, milliseconds or bytes differ from run to run, a comment before the `text` block says
so:

    <!-- figures differ -->
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

NOT_RUN = re.compile(r"<!-- not run: .+ -->")
FIGURES_DIFFER = "<!-- figures differ -->"
FIGURE = re.compile(r" *\d[\d,.]*(?= (?:bytes|ms|s|batches)\b)|(?<=process) \d+ *")
TITLE = re.compile(r'title="([^"]+)"')
BLOCK = re.compile(r"^```(\w*)[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
MARK = "===== line {} ====="
MARKED = re.compile("^" + MARK.format(r"(\d+)") + "\n", re.MULTILINE)
SHELL = 'conveyor() { python -m conveyor "$@"; }\n'


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        language: what stands behind the fence.
        title: the name of the file that it is, if any.
        text: its lines; in what is printed, `...` stands for anything.
        line: the line of the page that it begins on, counted from 1.
        runs: whether it is to be run.
    """

    language: str
    title: str | None
    text: str
    line: int
    runs: bool


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    for match in BLOCK.finditer(text):
        title = TITLE.search(match[2])
        before = text[: match.start()].rstrip().rpartition("\n")[2]
        content = FIGURE.sub("...", match[3]) if before == FIGURES_DIFFER else match[3]
        line = text.count("\n", 0, match.start(3)) + 1
        found.append(
            Block(
                match[1],
                title and title[1],
                content,
                line,
                runs=match[1] in ("python", "sh") and not NOT_RUN.fullmatch(before),
            )
        )
    return found


def script(page: Path) -> str:
    """The script of a page, with each statement on the line that it has in the page."""
    lines = [""] * page.read_text("utf-8").count("\n")
    for block in blocks(page):
        if block.runs:
            # The fence stands on the line before the block: it tells where its output begins.
            lines[block.line - 2] = f"print({MARK.format(block.line)!r}, flush=True)"
            text = block.text
            if block.title:
                text = f"__import__('pathlib').Path({block.title!r}).write_text({text!r})\n"
            elif block.language == "sh":
                command = ["bash", "-euo", "pipefail", "-c", SHELL + text]
                text = f"__import__('subprocess').run({command!r}, check=True)\n"
            new = text.splitlines()
            lines[block.line - 1 : block.line - 1 + len(new)] = new
    return "\n".join(lines) + "\n"


def promised(page: Path) -> dict[int, str]:
    """What each block that runs says that it prints, by its line."""
    found = blocks(page)
    return {
        block.line: _promise(block, following)
        for block, following in zip(found, [*found[1:], None], strict=True)
        if block.runs
    }


def _promise(block: Block, following: Block | None) -> str:
    shown = following.text if following is not None and following.language == "text" else ""
    if block.title:
        return ""
    if block.language == "sh":
        return shown
    comments = [_comment(block.text, line) for line in _prints(block.text)]
    assert comments.count(None) <= 1, f"line {block.line}: two prints without a comment"
    return "".join(shown if comment is None else f"{comment}\n" for comment in comments)


def _prints(source: str) -> list[int]:
    """The last lines of all calls of print."""
    return sorted(
        node.end_lineno or 0
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    )


def _comment(source: str, line: int) -> str | None:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.start[0] == line:
            return token.string.removeprefix("#").strip()
    return None


def by_block(output: str) -> dict[int, str]:
    """The output of a page's script, by the lines of the blocks that it came from."""
    _, *parts = MARKED.split(output)
    return {int(line): text for line, text in zip(parts[::2], parts[1::2], strict=True)}
