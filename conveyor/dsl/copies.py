"""What we keep in a processor, and what becomes of it in copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from conveyor.graph import Settings

if TYPE_CHECKING:
    from conveyor.dsl.processor import Processor


@dataclass(frozen=True, slots=True)
class Own:
    """What we keep in a processor, in one attribute: all other private names are the user's.

    Attributes:
        settings: what ``options`` set.
        origin: the instance that the user made, of which this is a copy with options.
        has_arguments: whether it was made with any.
    """

    settings: Settings = field(default_factory=Settings)
    origin: Processor[Any, Any] | None = None
    has_arguments: bool = False

    def __deepcopy__(self, memo: object) -> Own:
        """The same, of an instance of its own."""
        return self if self.origin is None else replace(self, origin=None)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """As the name of the most common one: a warm worker loads it for each run."""
        if self is WITH_ARGUMENTS:
            return "WITH_ARGUMENTS"
        return Own, (self.settings, self.origin, self.has_arguments)


WITH_ARGUMENTS = Own(has_arguments=True)

OWN = "_conveyor"


def kept(own: Own, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """A processor made as its class wants it to be, with what we keep in it."""
    processor = make(*arguments)
    object.__setattr__(processor, OWN, own)
    return processor


def is_told(own: Own, state: Any) -> bool:
    """Whether what an instance gives as its state has what we keep in it."""
    parts = cast("Iterable[Any]", state) if isinstance(state, tuple) else (state,)
    return any(type(part) is dict and part.get(OWN) is own for part in parts)


def instance_of(processor: Any) -> Any:
    """The instance that the user made, of which this may be a copy with options."""
    origin = processor._conveyor.origin
    return processor if origin is None else origin


def own_of_copy(processor: Processor[Any, Any]) -> Own | None:
    """What we keep in a copy with options; None of an instance as it was made."""
    own = processor._conveyor
    return None if own.origin is None else own


def with_settings(processor: Any, settings: Settings) -> Any:
    """A copy with other settings, which still stands for the same instance."""
    origin = instance_of(processor)
    return copied(processor, replace(processor._conveyor, origin=origin, settings=settings))


def another(processor: Any) -> Any:
    """A shallow copy, which is another instance."""
    return copied(processor, replace(processor._conveyor, origin=None))


def copied(processor: Any, own: Own, **attributes: object) -> Any:
    """A copy with something else of ours, and with some of its attributes replaced."""
    state = {**instance_state(processor), **attributes}
    state.pop(OWN, None)  # it comes last: what is wrong with the user's attributes is told first
    copy: Any = object.__new__(processor.__class__)
    for name, value in {**state, OWN: own}.items():
        object.__setattr__(copy, name, value)
    return copy


def instance_state(instance: object) -> dict[str, Any]:
    """The attributes of an instance, those in slots included."""
    state = dict(vars(instance))
    for cls in type(instance).__mro__:
        slots = vars(cls).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            is_private = slot.startswith("__") and not slot.endswith("__")
            name = f"_{cls.__name__.lstrip('_')}{slot}" if is_private else slot
            if name not in ("__dict__", "__weakref__") and hasattr(instance, name):
                state[name] = getattr(instance, name)
    return state
