"""A task's call inside a pipeline: its outputs, and what this one call needs or would like."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Self

from nodewise.sdk.dsl.building import Retries, Step
from nodewise.sdk.dsl.errors import PipelineError, place_of_caller
from nodewise.sdk.dsl.options import Resources, names_of, seconds_of
from nodewise.sdk.dsl.unknown import NotKnownYet


class TaskHandle(NotKnownYet):
    """One step of a pipeline: a call of a task, or of another pipeline.

    Its outputs are attributes (`prep.train`), entries of `outputs` (any name), or `output` where there is one only.
    """

    def __init__(self, name: str, step: Step, outputs: Mapping[str, Any], *, kind: str = "task") -> None:
        self._name = name
        self._kind = kind
        self._step = step
        self._outputs = _Outputs(f"{kind} {name!r}", outputs)

    def _subject(self) -> str:
        return f"what {self._kind} {self._name!r} returns"

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
            if not isinstance(other, TaskHandle):
                raise PipelineError(place_of_caller(), f"after() takes tasks, not a {type(other).__name__}")
            self._step.add_upstream(other._step)
        return self

    def ignore_upstream_failure(self) -> Self:
        """Run it as soon as all before it ended, however they ended. What it takes from them needs a default."""
        self._step.ignore_upstream_failure()
        return self

    def retries(
        self,
        count: int,
        *,
        backoff: timedelta | float | str | None = None,
        factor: float | None = None,
        max_backoff: timedelta | float | str | None = None,
    ) -> Self:
        """Try it again so often, each time perhaps on another node.

        Args:
            count: how often, after the first attempt.
            backoff: pause before the first new attempt; by default none.
            factor: by how much the pause grows each time (by default it doubles).
            max_backoff: the longest pause (by default an hour).
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise PipelineError(place_of_caller(), f"retries must be a whole number, is {count!r}")
        wait = None if backoff is None else _seconds(backoff)
        most = None if max_backoff is None else _seconds(max_backoff)
        self._step.set_retries(Retries(count=count, seconds=wait, factor=factor, most_seconds=most))
        return self

    def timeout(self, duration: timedelta | float | str) -> Self:
        """End an attempt that takes longer: `"30m"`, seconds, a timedelta."""
        self._step.set_timeout(_seconds(duration))
        return self

    def cache(self, wanted: bool = True) -> Self:
        """Reuse what an equal call left before, or do not: the same code, image and inputs."""
        self._step.set_cache(wanted)
        return self

    def named(self, name: str) -> Self:
        """Show it under this name. Its path stays as it is."""
        self._step.set_name(name)
        return self

    def _hint(self, section: str, key: str, value: Any) -> None:
        if value:
            self._step.add_hint(section, key, value)


def _seconds(duration: timedelta | float | str) -> float:
    try:
        return seconds_of(duration)
    except (TypeError, ValueError) as error:
        raise PipelineError(place_of_caller(), str(error)) from error


class _Outputs(Mapping[str, Any]):
    def __init__(self, owner: str, known: Mapping[str, Any]) -> None:
        self._owner = owner
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
        return PipelineError(place_of_caller(), f"{self._owner} {rule}; its outputs: {known}")
