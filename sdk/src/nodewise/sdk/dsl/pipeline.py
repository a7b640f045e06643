"""`@pipeline`: a function whose calls of tasks are the steps."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Unpack, overload

from nodewise.sdk.dsl.building import building, current_builder
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of, place_of_caller
from nodewise.sdk.dsl.local import LocalBuilder, LocalRun
from nodewise.sdk.dsl.options import PipelineOptions, pipeline_hints
from nodewise.sdk.dsl.signature import Signature, read_signature


class Pipeline:
    """A function of parameters that wires tasks. `compile` it, submit it, or call it to run it in this process."""

    def __init__(self, function: Callable[..., Any], options: PipelineOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.place: Place = place_of(function)
        self.name = options.get("name") or function.__name__.replace("_", "-")
        self.description = options.get("description") or inspect.getdoc(function) or ""
        self.signature: Signature = read_signature(function, subject=f"pipeline {self.name!r}")
        self.hints = self._checked()

    def __call__(self, **parameters: Any) -> LocalRun:
        """Run every task here and now, in order, in this process: for tests. Hints and resources mean nothing then.

        Raises:
            PipelineError: called inside another pipeline, or with parameters that do not fit.
        """
        if current_builder() is not None:
            raise PipelineError(
                place_of_caller(), f"pipeline {self.name!r} cannot be a step of another one yet"
            )
        self._check_parameters(parameters)
        builder = LocalBuilder()
        with building(builder):
            self.function(**parameters)
        return builder.run

    def _check_parameters(self, given: dict[str, Any]) -> None:
        inputs = self.signature.inputs
        unknown = [name for name in given if name not in inputs]
        missing = [name for name, item in inputs.items() if name not in given and not item.optional]
        if unknown:
            rule = f"has no parameter named {unknown[0]!r}; its parameters: {', '.join(inputs) or 'none'}"
            raise PipelineError(place_of_caller(), f"pipeline {self.name!r} {rule}")
        if missing:
            raise PipelineError(place_of_caller(), f"pipeline {self.name!r} needs {', '.join(missing)}")

    def _checked(self) -> dict[str, Any]:
        unknown = sorted(set(self.options) - set(PipelineOptions.__annotations__))
        artifacts = [item.name for item in self.signature.arguments if item.is_artifact]
        if unknown:
            raise self._error(
                f"has no option {unknown[0]!r}; options: {', '.join(PipelineOptions.__annotations__)}"
            )
        if artifacts:
            raise self._error(f"cannot take the artifact {artifacts[0]!r}: its parameters are plain values")
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

    Raises:
        PipelineError: the signature or an option is wrong; names the file and the line.
    """
    if function is None:
        return lambda decorated: Pipeline(decorated, options)
    return Pipeline(function, options)
