"""What a DAG gives: for every output the steps that it may come from, the first that has it first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nodewise.core.errors import InvalidPipeline
from nodewise.core.ir.bindings import Surroundings
from nodewise.core.ir.guard import at
from nodewise.core.ir.tree import FromStep
from nodewise.core.model.component import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class DagOutputs:
    parameters: Mapping[str, tuple[FromStep, ...]]
    artifacts: Mapping[str, tuple[FromStep, ...]]


def read_outputs(message: Any, signature: Signature, around: Surroundings, *, path: str) -> DagOutputs:
    """Read a `DagOutputsSpec`.

    Raises:
        InvalidPipeline: an output that the component does not declare, or that no task gives.
    """
    parameters = {
        name: _sources(_parameter_selectors(output), around, path=at(at(path, "parameters"), name))
        for name, output in sorted(message.parameters.items())
    }
    artifacts = {
        name: _sources(_artifact_selectors(output), around, path=at(at(path, "artifacts"), name))
        for name, output in sorted(message.artifacts.items())
    }
    _check_declared(parameters, signature.output_parameters, at(path, "parameters"))
    _check_declared(artifacts, signature.output_artifacts, at(path, "artifacts"))
    return DagOutputs(parameters=parameters, artifacts=artifacts)


def _check_declared(given: Mapping[str, object], declared: Mapping[str, object], path: str) -> None:
    for name in given:
        if name not in declared:
            raise InvalidPipeline(at(path, name), "is not among the component's output definitions")
    for name in declared:
        if name not in given:
            raise InvalidPipeline(at(path, name), "is declared, but comes from no task")


_Selector = tuple[str, str, bool]
"""The step, its output, and whether that is an artifact."""


def _parameter_selectors(message: Any) -> list[_Selector]:
    kind = message.WhichOneof("kind")
    if kind == "value_from_oneof":
        selectors = message.value_from_oneof.parameter_selectors
        return [(one.producer_subtask, one.output_parameter_key, False) for one in selectors]
    one = message.value_from_parameter
    return [(one.producer_subtask, one.output_parameter_key, False)] if kind else []


def _artifact_selectors(message: Any) -> list[_Selector]:
    selectors = message.artifact_selectors
    return [(one.producer_subtask, one.output_artifact_key, True) for one in selectors]


def _sources(selectors: Sequence[_Selector], around: Surroundings, *, path: str) -> tuple[FromStep, ...]:
    if not selectors:
        raise InvalidPipeline(path, "has no source")
    for step, output, is_artifact in selectors:
        if step not in around.components:
            raise InvalidPipeline(path, f"no task named {step[:80]!r}")
        given = around.components[step].signature
        known = given.output_artifacts if is_artifact else given.output_parameters
        if output not in known:
            names = ", ".join(sorted(known)[:20]) or "none"
            raise InvalidPipeline(path, f"task {step[:80]!r} has no output {output[:80]!r}; it has: {names}")
    return tuple(FromStep(step=step, output=output) for step, output, _ in selectors)
