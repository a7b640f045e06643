"""What a call of a task means: outside a pipeline the plain function, inside one a new step of whoever is building it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nodewise.sdk.dsl.handle import TaskHandle
    from nodewise.sdk.dsl.options import Resources
    from nodewise.sdk.dsl.task import Task


class Step(Protocol):
    """One call of a task, as its builder sees it."""

    def add_hint(self, section: str, key: str, value: Any) -> None:
        """Put a hint into `requirements` or `preferences`; lists and objects grow."""

    def set_resources(self, resources: "Resources") -> None: ...

    def add_upstream(self, step: "Step") -> None: ...


class Builder(Protocol):
    """Turns calls of tasks into something: a compiled pipeline, or a run right here."""

    def call(self, task: "Task[..., Any]", arguments: Mapping[str, Any]) -> "TaskHandle": ...


_current: ContextVar[Builder | None] = ContextVar("nodewise_builder", default=None)


def current_builder() -> Builder | None:
    """Who is building a pipeline now, in this context."""
    return _current.get()


@contextmanager
def building(builder: Builder) -> Iterator[None]:
    """Let calls of tasks go to `builder`."""
    token = _current.set(builder)
    try:
        yield
    finally:
        _current.reset(token)
