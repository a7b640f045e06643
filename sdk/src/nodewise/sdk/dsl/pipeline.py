"""`@pipeline`: a function whose calls of tasks are the steps."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final, Unpack, overload

from nodewise.sdk.dsl.arguments import bound
from nodewise.sdk.dsl.building import current_builder
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of
from nodewise.sdk.dsl.options import PipelineOptions, pipeline_hints
from nodewise.sdk.dsl.signature import Role, Signature, read_signature

_OPTIONS: Final = tuple(PipelineOptions.__annotations__)


class Pipeline:
    """A function of parameters that wires tasks.

    `compile` it, submit it, call it to run it in this process, or call it in another pipeline as a step of that one.
    """

    def __init__(self, function: Callable[..., Any], options: PipelineOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.place: Place = place_of(function)
        self.name = options.get("name") or function.__name__.replace("_", "-")
        self.description = options.get("description") or inspect.getdoc(function) or ""
        self.signature: Signature = read_signature(
            function, subject=f"pipeline {self.name!r}", role=Role.PIPELINE
        )
        self.hints = self._checked()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Inside another pipeline: a step of it. Else: run every task here and now, in this process: for tests.

        Returns:
            A `TaskHandle`, or a `LocalRun`.

        Raises:
            PipelineError: the parameters do not fit.
        """
        given = bound(self.signature, args, kwargs, subject=f"pipeline {self.name!r}")
        builder = current_builder()
        if builder is not None:
            return builder.call_pipeline(self, given)
        from nodewise.sdk.local import run_here  # noqa: PLC0415 (compiles, and that takes a second to import)

        return run_here(self, given)

    def _checked(self) -> dict[str, Any]:
        unknown = sorted(set(self.options) - set(_OPTIONS))
        if unknown:
            raise self._error(f"has no option {unknown[0]!r}; options: {', '.join(_OPTIONS)}")
        try:
            return pipeline_hints(self.options)
        except (TypeError, ValueError) as error:
            raise self._error(f"is wrong: {error}") from error

    def _error(self, rule: str) -> PipelineError:
        return PipelineError(self.place, f"pipeline {self.name!r} {rule}")


@overload
def pipeline(function: Callable[..., Any], /) -> Pipeline: ...
@overload
def pipeline(**options: Unpack[PipelineOptions]) -> Callable[[Callable[..., Any]], Pipeline]: ...
def pipeline(function: Callable[..., Any] | None = None, /, **options: Unpack[PipelineOptions]) -> Any:
    """Make a pipeline of a function: `@pipeline` or `@pipeline(name="mnist", priority=5, deadline="6h", team="vision")`.

    What it returns (`-> float`, `-> Model`, `-> list[Model]`, a NamedTuple of such) are outputs of its tasks.

    Raises:
        PipelineError: the signature or an option is wrong; names the file and the line.
    """
    if function is None:
        return lambda decorated: Pipeline(decorated, options)
    return Pipeline(function, options)
