"""`@task`: a plain typed function that can be a step of a pipeline."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, ParamSpec, TypeAlias, TypeVar, Unpack, overload

from nodewise.sdk.dsl.arguments import bound
from nodewise.sdk.dsl.building import current_builder
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of, place_of_caller
from nodewise.sdk.dsl.options import KFP_NAMES, Resources, TaskOptions, task_hints
from nodewise.sdk.dsl.signature import Role, Signature, read_signature

_P = ParamSpec("_P")
_R = TypeVar("_R")

_ALL: Final = tuple(TaskOptions.__annotations__)


class Task(Generic[_P, _R]):
    """A function with a typed signature and options.

    Called as plain Python it is the function. Called inside a pipeline it adds a step and returns its `TaskHandle`; then
    artifacts that it writes are left out, and everything may be given by name.
    """

    role: ClassVar[Role] = Role.TASK
    known_options: ClassVar[tuple[str, ...]] = _ALL

    def __init__(self, function: Callable[_P, _R], options: TaskOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.place: Place = place_of(function)
        self.signature: Signature = read_signature(function, subject=f"task {self.name!r}", role=self.role)
        self.hints = self._checked_hints()

    @property
    def name(self) -> str:
        return self.function.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        builder = current_builder()
        if builder is None:
            return self.function(*args, **kwargs)
        return builder.call(self, bound(self.signature, args, kwargs, subject=f"task {self.name!r}"))

    def _checked_hints(self) -> dict[str, Any]:
        unknown = sorted(set(self.options) - set(self.known_options))
        if unknown:
            raise PipelineError(self.place, f"task {self.name!r} {self._unknown(unknown[0])}")
        if not isinstance(self.options.get("resources", Resources()), Resources):
            raise PipelineError(self.place, f"task {self.name!r}: resources must be Resources(...)")
        try:
            return task_hints(self.options)
        except (TypeError, ValueError) as error:
            raise PipelineError(self.place, f"task {self.name!r}: {error}") from error

    def _unknown(self, option: str) -> str:
        ours = KFP_NAMES.get(option)
        if ours in self.known_options:
            return f"has no option {option!r}: here it is called {ours!r}"
        return f"has no option {option!r}; options: {', '.join(self.known_options)}"


AnyTask: TypeAlias = Task[..., Any]


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
        return lambda decorated: Task(plain_function(decorated, "@task"), options)
    return Task(plain_function(function, "@task"), options)


def plain_function(function: Callable[..., Any], decorator: str) -> Callable[..., Any]:
    """The function itself.

    Raises:
        PipelineError: it is none, or async.
    """
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
        raise PipelineError(place_of_caller(), f"{decorator} goes on a plain function")
    return function
