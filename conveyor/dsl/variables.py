"""The type variables of elements, and the types that only type checkers look at.

A checker knows an element as ``Element[In, Out, Ends]``. ``Ends`` says what is open at its end:

- ``Closed``: nothing, so there is nothing to join;
- a tuple: branches of replicated forks, with the type that each one gives, which is what
  ``Join("zip")`` makes;
- ``Unzippable``: branches, some of them of balanced forks.

It need not be written: ``Pipeline[In, Out]`` stands for any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Never, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar

    In = TypeVar("In", contravariant=True, default=Any)
    Out = TypeVar("Out", covariant=True, default=Any)
    Ends = TypeVar("Ends", covariant=True, default=Any)
    T = TypeVar("T", default=Any)
    Fed = TypeVar("Fed", default=Never)
    P = ParamSpec("P", default=...)
    Result = TypeVar("Result", covariant=True, default=Any)
else:
    from typing import ParamSpec, TypeVar

    # Defaults are for checkers alone: TypeVar takes them from Python 3.13 on. That `Ends` may
    # be left out needs no default where it stands for any number of arguments.
    In = TypeVar("In", contravariant=True)
    Out = TypeVar("Out", covariant=True)
    Ends = Unpack[TypeVarTuple("Ends")]
    T = TypeVar("T")
    Fed = TypeVar("Fed")
    P = ParamSpec("P")
    Result = TypeVar("Result", covariant=True)


class Closed:
    """The ``Ends`` of an element at whose end no fork is open."""


class Unzippable:
    """The ``Ends`` of an element at whose end a balanced fork is open."""


class Passing:
    """The ``Ends`` of what gives what it takes: pipes."""


if TYPE_CHECKING:
    Open = tuple[object, ...] | Unzippable
    """The ``Ends`` of an element that can be joined."""

    Some = Closed | Open
    """The ``Ends`` of an element that does some work."""

    class Unknown:
        """The ``Ends`` of nothing: only where ``Ends`` is ``Any`` does it fit."""

    class Joining:
        """The ``Ends`` of a join, but of ``Join("zip")``."""

    class Joined:
        """The ``In`` of a join, but of ``Join("zip")``: no item is one.

        So a join follows nothing but an open fork.
        """

    class Zipping:
        """The ``Ends`` of ``Join("zip")``."""

    Tuple_co = TypeVar("Tuple_co", covariant=True)

    class Zipped(Generic[Tuple_co]):
        """The ``In`` of ``Join("zip")`` and what begins with it: no item is one.

        So it follows nothing but an open fork whose places make such a tuple.
        """

    # What single methods and functions need.
    I = TypeVar("I")  # noqa: E741
    O = TypeVar("O")  # noqa: E741
    A = TypeVar("A")
    B = TypeVar("B")
    C = TypeVar("C")
    D = TypeVar("D")
    E = TypeVar("E", bound=Some)
    End = TypeVar("End", bound=Some | Joining | Zipping)
    Q = ParamSpec("Q")
    Places = TypeVarTuple("Places")
    Given = TypeVar("Given", default=Any)
    Made = TypeVar("Made", default=Never)
    I_contra = TypeVar("I_contra", contravariant=True)
    O_co = TypeVar("O_co", covariant=True)
