# cloudpickle ships no types: these are the parts that Conveyor uses.

import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...

class Pickler(pickle.Pickler):
    def __init__(
        self,
        file: _Writable,
        protocol: int | None = None,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
    ) -> None: ...

CloudPickler = Pickler
loads = pickle.loads

def dumps(
    obj: object,
    protocol: int | None = None,
    buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
) -> bytes: ...
def register_pickle_by_value(module: ModuleType) -> None: ...
def unregister_pickle_by_value(module: ModuleType) -> None: ...
def list_registry_pickle_by_value() -> set[str]: ...
