"""What ``element.options(...)`` takes, checked in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, cast, get_args

from conveyor.errors import UsageError
from conveyor.graph import Settings
from conveyor.graph.model import OnError, is_count, plain

if TYPE_CHECKING:
    from typing import TypedDict

    class Options(TypedDict, total=False):
        """The keyword arguments of ``element.options(...)``, for type checkers."""

        name: str
        retries: int
        on_error: OnError
        timeout: float | None
        restarts: int


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_one_line(value: str) -> bool:
    from unicodedata import category

    return not any(category(char) in ("Cc", "Zl", "Zp") for char in value)


def _is_number_of_times(value: object) -> bool:
    return is_count(value) and value >= 0


def _is_seconds(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return 0 < value <= _LONGEST


_LONGEST = 10**9
"""Seconds, of which the clocks of the system know no more than some ten times as many."""


_CHECKS: Mapping[str, Sequence[tuple[Callable[[Any], bool], str]]] = {
    "name": (
        (_is_text, "a str that is not empty"),
        (_is_one_line, "a str without line breaks and other control characters"),
        (lambda value: value == value.strip(), "a str without blanks at its ends"),
    ),
    "retries": ((_is_number_of_times, "an int of 0 or more"),),
    "on_error": (
        (
            lambda value: isinstance(value, str) and value in get_args(OnError),
            " or ".join(map(repr, get_args(OnError))),
        ),
    ),
    "timeout": ((_is_seconds, "seconds above 0, up to 10**9, or None"),),
    "restarts": ((_is_number_of_times, "an int of 0 or more"),),
}
"""What each option must be, in words; the checks of one hold in their order."""


def changed(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """``settings`` with ``options`` set.

    Raises:
        UsageError: an option is unknown or ill-typed.
    """
    given = {name: plain(value) for name, value in options.items()}
    for name, value in given.items():
        if name not in _CHECKS:
            from difflib import get_close_matches

            near = get_close_matches(name, _CHECKS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(_CHECKS)}"
            raise UsageError(f"options() knows no {name!r}: {hint}")
        for accepts, wanted in _CHECKS[name]:
            if not accepts(value):
                raise UsageError(f"options({name}=...) takes {wanted}, not {value!r}")
    return replace(settings, **given)


def see_that_it_restarts(processor: Any, nothing: object, *, is_source: bool) -> None:
    """See that a processor may be started again in the middle of a run.

    Args:
        processor: the processor.
        nothing: the ``finish`` that does nothing.
        is_source: whether it makes its items.

    Raises:
        UsageError: it may not; what to do is said.
    """
    kind = cast("Any", type(processor))
    if is_source:
        raise UsageError(
            f"options(restarts=...): {processor!r} is a source, and what it gave before it died "
            "can't be told from what it would give again: leave it out for the source"
        )
    if kind.finish is not nothing and not (
        callable(getattr(kind, "snapshot", None)) and callable(getattr(kind, "restore", None))
    ):
        raise UsageError(
            f"options(restarts=...): {processor!r} gathers state until finish(), which would be "
            "lost when its worker dies: define snapshot(self), which gives the state, and "
            "restore(self, state), which takes it up"
        )


def shown(settings: Settings) -> str:
    """The call that sets ``settings``, or an empty text where all are as by default."""
    if settings == (default := Settings()):
        return ""
    set_by_user = {
        field.name: getattr(settings, field.name)
        for field in fields(Settings)
        if getattr(settings, field.name) != getattr(default, field.name)
    }
    inside = ", ".join(f"{name}={value!r}" for name, value in set_by_user.items())
    return f".options({inside})"
