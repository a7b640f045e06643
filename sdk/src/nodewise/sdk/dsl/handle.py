"""A task's call inside a pipeline: its outputs, and what this one call needs or would like."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from nodewise.sdk.dsl.building import Step
from nodewise.sdk.dsl.errors import PipelineError, place_of_caller
from nodewise.sdk.dsl.options import Resources, names_of
from nodewise.sdk.dsl.unknown import NotKnownYet, TaskOutput


class TaskHandle(NotKnownYet):
    """One step of a pipeline.

    Its outputs are attributes (`prep.train`), entries of `outputs` (any name), or `output` where there is one only.
    """

    def __init__(self, name: str, step: Step, outputs: Mapping[str, Any]) -> None:
        self._name = name
        self._step = step
        self._outputs = _Outputs(name, outputs)

    def _subject(self) -> str:
        return f"what task {self._name!r} returns"

    def __str__(self) -> str:
        return str(self.output)

    @property
    def outputs(self) -> Mapping[str, Any]:
        return self._outputs

    @property
    def output(self) -> Any:
        """What the task returns; for a task with one output only, that one."""
        if "Output" in self._outputs.known:
            return self._outputs["Output"]
        if len(self._outputs.known) == 1:
            return self._outputs[next(iter(self._outputs.known))]
        raise self._outputs.error("has no single output")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._outputs[name]

    def require(
        self,
        *,
        accelerator: str | None = None,
        architecture: str | Sequence[str] | None = None,
        worker_type: str | Sequence[str] | None = None,
        node: str | Sequence[str] | None = None,
        **labels: str,
    ) -> Self:
        """Run it only on such a node. A second call adds to the first."""
        self._hint("requirements", "architectures", names_of(architecture))
        self._hint("requirements", "workerTypes", names_of(worker_type))
        self._hint("requirements", "nodes", names_of(node))
        self._hint("requirements", "accelerator", accelerator)
        self._hint("requirements", "labels", labels)
        return self

    def prefer(
        self, *, accelerator: str | None = None, node: str | Sequence[str] | None = None, **labels: str
    ) -> Self:
        """Run it on such a node where that is possible."""
        self._hint("preferences", "nodes", names_of(node))
        self._hint("preferences", "accelerator", accelerator)
        self._hint("preferences", "labels", labels)
        return self

    def on_node(self, *names: str) -> Self:
        """Run it on this node, or one of these, and nowhere else."""
        return self.require(node=names)

    def with_resources(self, resources: Resources) -> Self:
        """Other resources than the task's own; what is left out stays."""
        self._step.set_resources(resources)
        return self

    def after(self, *others: "TaskHandle") -> Self:
        """Run it after these, though it takes nothing from them."""
        for other in others:
            self._step.add_upstream(other._step)
        return self

    def _hint(self, section: str, key: str, value: Any) -> None:
        if value:
            self._step.add_hint(section, key, value)


def outputs_for_handles(value: Any) -> Any:
    """The value with each handle in it, at any depth of lists and objects, replaced by its output.

    What is not known yet becomes what KFP calls it.
    """
    if isinstance(value, TaskHandle):
        value = value.output
    if isinstance(value, TaskOutput):
        return value.channel
    if isinstance(value, list):
        return [outputs_for_handles(item) for item in value]
    if isinstance(value, dict):
        return {key: outputs_for_handles(item) for key, item in value.items()}
    return value


class _Outputs(Mapping[str, Any]):
    def __init__(self, task: str, known: Mapping[str, Any]) -> None:
        self._task = task
        self.known = known

    def __getitem__(self, name: str) -> Any:
        if name not in self.known:
            raise self.error(f"has no output named {name!r}")
        return self.known[name]

    def __iter__(self) -> Any:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def __contains__(self, name: object) -> bool:
        return name in self.known

    def error(self, rule: str) -> PipelineError:
        known = ", ".join(self.known) or "none"
        return PipelineError(place_of_caller(), f"task {self._task!r} {rule}; its outputs: {known}")
