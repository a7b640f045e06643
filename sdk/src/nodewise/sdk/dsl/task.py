"""`@task`: a plain typed function that can be a step of a pipeline."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from nodewise.sdk.dsl.building import current_builder
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of, place_of_caller
from nodewise.sdk.dsl.options import Resources, TaskOptions, task_hints
from nodewise.sdk.dsl.signature import Signature, read_signature

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Task(Generic[_P, _R]):
    """A function with a typed signature and options.

    Called as plain Python it is the function. Called inside a pipeline it adds a step and returns its `TaskHandle`; then
    artifacts that it writes are left out, and everything may be given by name.
    """

    def __init__(self, function: Callable[_P, _R], options: TaskOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.place: Place = place_of(function)
        self.signature: Signature = read_signature(function, subject=f"task {self.name!r}")
        self.hints = self._checked_hints()

    @property
    def name(self) -> str:
        return self.function.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        builder = current_builder()
        if builder is None:
            return self.function(*args, **kwargs)
        return builder.call(self, self._bind(args, kwargs))

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by input name, checked against the signature; defaults stay out."""
        inputs = self.signature.inputs
        if len(args) > len(inputs):
            raise self._error(f"takes {len(inputs)} inputs, {len(args)} were given")
        given = dict(zip(inputs, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                raise self._error(f"has two values for the input {name!r}")
            if name not in inputs:
                raise self._error(f"has no input named {name!r}; its inputs: {', '.join(inputs) or 'none'}")
            given[name] = value
        missing = [name for name, item in inputs.items() if name not in given and not item.optional]
        if missing:
            raise self._error(f"needs {', '.join(missing)}")
        return {name: _widened(inputs[name].type, value) for name, value in given.items()}

    def _error(self, rule: str) -> PipelineError:
        return PipelineError(place_of_caller(), f"task {self.name!r} {rule}")

    def _checked_hints(self) -> dict[str, Any]:
        unknown = sorted(set(self.options) - set(TaskOptions.__annotations__))
        if unknown:
            raise PipelineError(
                self.place,
                f"task {self.name!r} has no option {unknown[0]!r}; options: {', '.join(TaskOptions.__annotations__)}",
            )
        if not isinstance(self.options.get("resources", Resources()), Resources):
            raise PipelineError(self.place, f"task {self.name!r}: resources must be Resources(...)")
        try:
            return task_hints(self.options)
        except (TypeError, ValueError) as error:
            raise PipelineError(self.place, f"task {self.name!r}: {error}") from error


@overload
def task(function: Callable[_P, _R], /) -> Task[_P, _R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[_P, _R]], Task[_P, _R]]: ...
def task(function: Callable[..., Any] | None = None, /, **options: Unpack[TaskOptions]) -> Any:
    """Make a task of a function: `@task` or `@task(kind="training", resources=Resources(cpu=2), ...)`.

    Its parameters are str, int, float, bool, list or dict, or artifacts `In[...]` and `Out[...]`; it returns nothing, one
    such value, or a NamedTuple of them. Only its own text travels to a node: what it needs, it imports in its body.

    Raises:
        PipelineError: the signature or an option is wrong; names the file and the line.
    """
    if function is None:
        return lambda decorated: Task(_plain(decorated), options)
    return Task(_plain(function), options)


def _widened(kind: type, value: Any) -> Any:
    """A whole number for a float is a float, as everywhere in Python."""
    return float(value) if kind is float and type(value) is int else value


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        raise PipelineError(place_of_caller(), "@task goes on a plain function")
    return function
