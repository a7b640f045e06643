"""Builds a KFP pipeline from what our pipeline's function does; KFP's own compiler does the rest."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kfp import dsl

from nodewise.sdk.dsl.blocks import BlockKind, Chain, Group, Scope, check_reach, first_left
from nodewise.sdk.dsl.errors import PipelineError, Place, place_of_caller
from nodewise.sdk.dsl.handle import TaskHandle
from nodewise.sdk.dsl.kfp_components import component_of
from nodewise.sdk.dsl.kfp_loops import in_text, item_of, parallel_for
from nodewise.sdk.dsl.kfp_steps import KfpStep, PipelineStep, TaskStep
from nodewise.sdk.dsl.kfp_values import argument, comparison, handed_on, outputs_of
from nodewise.sdk.dsl.unknown import Origin, TaskOutput

if TYPE_CHECKING:
    from nodewise.sdk.dsl.kfp_graphs import Graphs
    from nodewise.sdk.dsl.pipeline import Pipeline
    from nodewise.sdk.dsl.task import AnyTask


class KfpBuilder:
    """Adds a KFP task for each call, inside a KFP pipeline that is being traced."""

    def __init__(self, graphs: "Graphs") -> None:
        self._graphs = graphs
        self._scope: Scope = ()
        self._steps: list[KfpStep] = []
        self._loops: list[Any] = []
        self._watching: set[KfpStep] = set()
        # The last block at each level, for those that follow a `when`.
        self._last: list[Group | None] = [None]

    def call(self, task: "AnyTask", arguments: Mapping[str, Any]) -> TaskHandle:
        subject = f"task {task.name!r}"
        given = {
            name: argument(subject, task.signature.inputs[name], value, self._scope)
            for name, value in arguments.items()
        }
        step = TaskStep(self._called(component_of(task), given, subject), task, self._scope)
        self._graphs.tasks.add(task)
        return self._added(task.name, step, kind="task")

    def call_pipeline(self, pipeline: "Pipeline", arguments: Mapping[str, Any]) -> TaskHandle:
        subject = f"pipeline {pipeline.name!r}"
        given = {
            name: argument(subject, pipeline.signature.inputs[name], value, self._scope)
            for name, value in arguments.items()
        }
        called = self._called(self._graphs.component_of(pipeline), given, subject)
        step = PipelineStep(called, subject, self._scope)
        return self._added(pipeline.name, step, kind="pipeline")

    def _called(self, component: Any, given: Mapping[str, Any], subject: str) -> Any:
        # None means "not given": KFP has no null for a component's input.
        try:
            task = component(**{name: value for name, value in given.items() if value is not None})
        except Exception as error:
            raise PipelineError(place_of_caller(), f"{subject}: {error}") from error
        task._channel_inputs = [in_text(channel, self._loops) for channel in task.channel_inputs]
        return task

    def _added(self, name: str, step: TaskStep | PipelineStep, *, kind: str) -> TaskHandle:
        self._steps.append(step)
        outputs = outputs_of(f"{kind} {name!r}", step.kfp_task.outputs, self._scope)
        return TaskHandle(name, step, outputs, kind=kind)

    @contextmanager
    def each(self, items: Any, parallelism: int, place: Place | None) -> Iterator[TaskOutput]:
        loop = parallel_for(items, parallelism, self._scope)
        group = Group(kind=BlockKind.LOOP, word="each", place=place)
        with self._inside(group, loop):
            self._loops.append(loop)
            yield item_of(loop, f"the item of {group}", self._scope)
            self._loops.pop()

    @contextmanager
    def when(self, condition: Any, place: Place | None) -> Iterator[None]:
        block = dsl.If(comparison(condition, self._scope, "when"))
        with self._branch("when", place, Chain(), block):
            yield

    @contextmanager
    def elif_when(self, condition: Any, place: Place | None) -> Iterator[None]:
        chain = self._open_chain("elif_when")
        block = dsl.Elif(comparison(condition, self._scope, "elif_when"))
        with self._branch("elif_when", place, chain, block):
            yield

    @contextmanager
    def otherwise(self, place: Place | None) -> Iterator[None]:
        chain = self._open_chain("otherwise")
        chain.closed = True
        with self._branch("otherwise", place, chain, dsl.Else()):
            yield

    def _open_chain(self, word: str) -> Chain:
        chain = self._last[-1].chain if self._last[-1] else None
        if chain is None:
            raise PipelineError(place_of_caller(), f"`{word}` must follow a `when` or `elif_when` beside it")
        if chain.closed:
            raise PipelineError(
                place_of_caller(), f"`{word}` follows an `otherwise`, which is the last of its kind"
            )
        return chain

    @contextmanager
    def _branch(self, word: str, place: Place | None, chain: Chain, block: Any) -> Iterator[None]:
        group = Group(kind=BlockKind.BRANCH, word=word, place=place, chain=chain)
        chain.branches.append(group)
        with self._inside(group, block):
            yield

    @contextmanager
    def on_exit(self, task: Any, place: Place | None) -> Iterator[None]:
        step = self._exit_step(task)
        group = Group(kind=BlockKind.EXIT_TASK, word="on_exit", place=place)
        step.scope = (group,)
        for output in task.outputs.values():
            output._move(step.scope)
        self._watching.add(step)
        watched = Group(kind=BlockKind.WATCHED, word="on_exit", place=place)
        with self._inside(watched, dsl.ExitHandler(step.kfp_task)):
            yield

    def _exit_step(self, task: Any) -> TaskStep:
        step = task._step if isinstance(task, TaskHandle) else None
        if not isinstance(step, TaskStep):
            raise _wrong_exit("takes a call of a task: with on_exit(report()):")
        if self._scope:
            raise _wrong_exit(f"belongs to the top of the pipeline's function, not into {self._scope[-1]}")
        if step in self._watching:
            raise _wrong_exit(f"has {step.subject} already: call the task once more")
        if step.kfp_task.dependent_tasks or any(
            channel.task_name for channel in step.kfp_task.channel_inputs
        ):
            raise _wrong_exit(f"takes a task that depends on no other, but {step.subject} does")
        return step

    @contextmanager
    def _inside(self, group: Group, block: Any) -> Iterator[None]:
        """Steps go into the block; afterwards they are out of reach."""
        before, steps = self._scope, len(self._steps)
        self._last.append(None)
        with block:
            self._scope = (*before, group)
            yield
            if len(self._steps) == steps:
                raise PipelineError(group.place, f"`{group.word}` has no task in it")
        self._scope = before
        self._last.pop()
        self._last[-1] = group

    def collect(self, value: Any) -> TaskOutput:
        origin = _origin_of(value, "collect")
        if isinstance(origin.channel, dsl.Collected):
            raise PipelineError(
                place_of_caller(),
                "collect(...) of collect(...): take the output itself, all loops are gathered",
            )
        left = first_left(origin.scope, self._scope)
        if left is None:
            raise PipelineError(
                place_of_caller(),
                f"collect(...) takes what was made in an `each` that is over; {origin.subject} was not",
            )
        if left.kind is not BlockKind.LOOP:
            check_reach(origin.subject, origin.scope, self._scope)
        return TaskOutput(
            Origin(
                channel=_gathered(dsl.Collected, origin.channel),
                subject=f"all of {origin.subject}",
                scope=origin.scope[: origin.scope.index(left)],
            )
        )

    def one_of(self, values: Sequence[Any]) -> TaskOutput:
        origins = [_origin_of(value, "one_of") for value in values]
        lefts = [first_left(origin.scope, self._scope) for origin in origins]
        for origin, left in zip(origins, lefts, strict=True):
            if left is None or left.chain is None or origin.scope[-1] is not left:
                raise PipelineError(
                    place_of_caller(),
                    f"one_of(...) takes outputs of tasks that stand in branches which are over; {origin.subject} is none",
                )
        _check_branches([left for left in lefts if left is not None])
        return TaskOutput(
            Origin(
                channel=_gathered(dsl.OneOf, *(origin.channel for origin in origins)),
                subject=f"one of {', '.join(origin.subject for origin in origins)}",
                scope=origins[0].scope[:-1],
            )
        )

    def returned(self, value: Any) -> Any:
        """A value that the pipeline's function returns, as KFP's channel."""
        return handed_on(value, self._scope)

    def finish(self) -> None:
        """Check what can be checked only at the end.

        Raises:
            PipelineError: a task wants to be told how another one ended, but watches none.
        """
        for step in self._steps:
            told = isinstance(step, TaskStep) and step.task.signature.status_name
            if told and step not in self._watching and not step.ignores_failure:
                raise PipelineError(
                    step.place,
                    f"{step.subject} is told how another one ended: call it as on_exit({step.kfp_task.name}(...)), "
                    "or after another task with .ignore_upstream_failure()",
                )


def _origin_of(value: Any, word: str) -> Origin:
    output = value.output if isinstance(value, TaskHandle) else value
    if not isinstance(output, TaskOutput):
        raise PipelineError(place_of_caller(), f"{word}(...) takes outputs of tasks, not {output!r}")
    return output._origin


def _gathered(kind: Any, *channels: Any) -> Any:
    try:
        return kind(*channels)
    except Exception as error:
        raise PipelineError(place_of_caller(), str(error)) from error


def _check_branches(taken: Sequence[Group]) -> None:
    chain = taken[0].chain if taken else None
    if chain is None or any(group.chain is not chain for group in taken):
        raise PipelineError(place_of_caller(), "one_of(...) takes outputs of the branches of one `when`")
    if not chain.closed:
        raise PipelineError(
            place_of_caller(),
            f"one_of(...) needs an `otherwise` after {chain.branches[-1]}: else there may be none",
        )
    if len(set(taken)) < len(taken):
        raise PipelineError(
            place_of_caller(), "one_of(...) takes one output of each branch, not two of the same"
        )
    missing = [branch for branch in chain.branches if branch not in taken]
    if missing:
        raise PipelineError(place_of_caller(), f"one_of(...) has no output of {missing[0]}")


def _wrong_exit(rule: str) -> PipelineError:
    return PipelineError(place_of_caller(), f"`on_exit` {rule}")
