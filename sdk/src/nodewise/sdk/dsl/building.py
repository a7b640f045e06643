"""What a call means inside a pipeline: a step, a block or a gathered value of whoever is building it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nodewise.sdk.dsl.errors import PipelineError, Place, place_of_caller

if TYPE_CHECKING:
    from nodewise.sdk.dsl.blocks import Scope
    from nodewise.sdk.dsl.handle import TaskHandle
    from nodewise.sdk.dsl.options import Resources
    from nodewise.sdk.dsl.pipeline import Pipeline
    from nodewise.sdk.dsl.task import AnyTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a step is tried again, and after how long: `seconds`, then `factor` times that, up to `most_seconds`."""

    count: int
    seconds: float | None = None
    factor: float | None = None
    most_seconds: float | None = None


class Step(Protocol):
    """One call of a task or pipeline, as its builder sees it. What it refuses, it refuses with a `PipelineError`."""

    @property
    def scope(self) -> "Scope": ...

    def add_hint(self, section: str, key: str, value: Any) -> None:
        """Put a hint into `requirements` or `preferences`; lists and objects grow."""

    def set_resources(self, resources: "Resources") -> None: ...

    def add_upstream(self, step: "Step") -> None: ...

    def ignore_upstream_failure(self) -> None: ...

    def set_retries(self, retries: Retries) -> None: ...

    def set_timeout(self, seconds: float) -> None: ...

    def set_cache(self, wanted: bool) -> None: ...

    def set_name(self, name: str) -> None: ...


class Builder(Protocol):
    """Turns what a pipeline's function does into a compiled pipeline."""

    def call(self, task: "AnyTask", arguments: Mapping[str, Any]) -> "TaskHandle": ...

    def call_pipeline(self, pipeline: "Pipeline", arguments: Mapping[str, Any]) -> "TaskHandle": ...

    def each(self, items: Any, parallelism: int, place: Place | None) -> AbstractContextManager[Any]: ...

    def when(self, condition: Any, place: Place | None) -> AbstractContextManager[None]: ...

    def elif_when(self, condition: Any, place: Place | None) -> AbstractContextManager[None]: ...

    def otherwise(self, place: Place | None) -> AbstractContextManager[None]: ...

    def on_exit(self, task: Any, place: Place | None) -> AbstractContextManager[None]: ...

    def collect(self, value: Any) -> Any: ...

    def one_of(self, values: Sequence[Any]) -> Any: ...


_current: ContextVar[Builder | None] = ContextVar("nodewise_builder", default=None)


def current_builder() -> Builder | None:
    """Who is building a pipeline now, in this context."""
    return _current.get()


def builder_for(word: str) -> Builder:
    """Who is building a pipeline now.

    Raises:
        PipelineError: nobody is: `word` was used outside of a pipeline's function.
    """
    builder = _current.get()
    if builder is None:
        raise PipelineError(place_of_caller(), f"`{word}` belongs into a @pipeline function")
    return builder


@contextmanager
def building(builder: Builder) -> Iterator[None]:
    """Let calls of tasks go to `builder`."""
    token = _current.set(builder)
    try:
        yield
    finally:
        _current.reset(token)
