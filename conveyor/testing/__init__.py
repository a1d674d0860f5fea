"""What the pytest plugin gives to tests: pipelines that run under watch, and in other orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conveyor.dsl.element import Element
    from conveyor.engines.opening import EngineName
    from conveyor.engines.results import Results

__all__ = ["Run"]


class Run:
    """Runs pipelines: what the fixtures ``conveyor_run`` and ``conveyor_run_each`` give.

    Args:
        engine: the engine that pipelines run on; None where each call may say.

    Attributes:
        engine: as given.
    """

    def __init__(self, engine: EngineName | None = None) -> None:
        self.engine: EngineName | None = engine

    def __call__(
        self, pipeline: Element[Any, Any], items: Iterable[Any] | None = None, /, **settings: Any
    ) -> Results[Any]:
        """Run a pipeline to its end.

        Args:
            pipeline: what to run.
            items: what goes in, for a pipeline that does not start with a Source.
            settings: those of ``pipeline.run``.

        Raises:
            ConveyorError: as ``pipeline.run``.
        """
        if self.engine is not None:
            return pipeline.run(items, engine=self.engine, **settings)
        return pipeline.run(items, **settings)

    def __repr__(self) -> str:
        return f"<runs pipelines on {self.engine or 'any engine'}>"
