"""What many results come to: the state of a DAG or loop, and its outputs."""

from collections.abc import Mapping, Sequence

from nodewise.core.ir.resolve import StepResult
from nodewise.core.ir.tree import Dag, FromStep
from nodewise.core.lifecycle import FINAL_TASK_STATES, TaskState
from nodewise.core.model.artifact import ArtifactRef, Values
from nodewise.core.model.component import Signature


def combined(results: Mapping[str, StepResult]) -> tuple[TaskState, str]:
    """The state of what is made of these, and why it failed: RUNNING while one is not final, FAILED if one failed.

    A skipped part is no failure: either a condition skipped it, or what stopped it counts itself.
    """
    states = {result.state for result in results.values()}
    if not states <= FINAL_TASK_STATES:
        return TaskState.RUNNING, ""
    for state in (TaskState.FAILED, TaskState.CANCELED):
        for name, result in results.items():
            if result.state is state:
                separator = "" if result.message.startswith("[") or not result.message else ": "
                return state, f"{name}{separator}{result.message}"[:1000]
    return TaskState.SUCCEEDED, ""


def dag_outputs(dag: Dag, results: Mapping[str, StepResult]) -> Values:
    """The outputs of a DAG that ended; those are left out that no step gave a value for."""
    parameters = {}
    for name, sources in dag.output_parameters.items():
        value = _first_parameter(sources, results)
        if value is not None:
            parameters[name] = value
    artifacts = {}
    for name, sources in dag.output_artifacts.items():
        found = _first_artifacts(sources, results)
        if found is not None:
            artifacts[name] = found
    return Values(parameters=parameters, artifacts=artifacts)


def _first_parameter(sources: Sequence[FromStep], results: Mapping[str, StepResult]) -> object:
    values = (results[source.step].outputs.parameters.get(source.output) for source in sources)
    return next((value for value in values if value is not None), None)


def _first_artifacts(
    sources: Sequence[FromStep], results: Mapping[str, StepResult]
) -> tuple[ArtifactRef, ...] | None:
    values = (results[source.step].outputs.artifacts.get(source.output) for source in sources)
    return next((value for value in values if value is not None), None)


def loop_outputs(signature: Signature, results: Sequence[StepResult]) -> Values:
    """Lists in the order of the iterations; what an iteration did not give (a branch not taken) is left out.

    Nested loops give nested lists of parameters, but one flat list of artifacts, as KFP documents.
    """
    parameters: dict[str, object] = {
        name: [result.outputs.parameters[name] for result in results if name in result.outputs.parameters]
        for name in signature.output_parameters
    }
    artifacts = {
        name: tuple(artifact for result in results for artifact in result.outputs.artifacts.get(name, ()))
        for name in signature.output_artifacts
    }
    return Values(parameters=parameters, artifacts=artifacts)
