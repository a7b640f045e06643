"""What a run of a pipeline will come to, as far as that can be told before it begins."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nodewise.core.ir.tree import Dag, Leaf, ParameterLoop, Program, Step
from nodewise.core.model.ids import TaskPath


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedTask:
    """A leaf task that may come, and the leaf tasks that it waits for."""

    path: TaskPath
    step: Step = field(repr=False)
    leaf: Leaf = field(repr=False)
    upstream: tuple[TaskPath, ...] = ()


def leaves_of(program: Program) -> Iterator[Leaf]:
    """Every leaf component, once."""
    seen: set[int] = set()
    stack: list[Dag] = [program.root]
    while stack:
        for step in stack.pop().steps:
            component = step.component
            if id(component) in seen:
                continue
            seen.add(id(component))
            if isinstance(component, Leaf):
                yield component
            else:
                stack.append(component)


def outline(program: Program) -> tuple[OutlinedTask, ...]:
    """Its leaf tasks in an order in which they could run: every branch taken, nothing failing.

    A loop over constants is written out; how often another one will run is known only later, so it counts as once.
    """
    return tuple(_dag(program.root, "", ()))


def _dag(dag: Dag, prefix: str, before: tuple[TaskPath, ...]) -> Iterator[OutlinedTask]:
    """`before` are the leaf tasks that the DAG as a whole waits for."""
    made: dict[str, tuple[TaskPath, ...]] = {}
    for step in dag.steps:
        upstream = _upstream(step, made) or before
        tasks = list(_step(step, f"{prefix}{step.name}", upstream))
        made[step.name] = tuple(task.path for task in tasks) or upstream
        yield from tasks


def _upstream(step: Step, made: Mapping[str, tuple[TaskPath, ...]]) -> tuple[TaskPath, ...]:
    return tuple(dict.fromkeys(path for name in step.upstream for path in made[name]))


def _step(step: Step, path: str, upstream: tuple[TaskPath, ...]) -> Iterator[OutlinedTask]:
    for instance in _instances(step, path):
        component = step.component
        if isinstance(component, Leaf):
            yield OutlinedTask(path=TaskPath(instance), step=step, leaf=component, upstream=upstream)
        else:
            yield from _dag(component, f"{instance}.", upstream)


def _instances(step: Step, path: str) -> Iterator[str]:
    if step.loop is None:
        yield path
        return
    items = step.loop.items if isinstance(step.loop, ParameterLoop) else None
    for index in range(1 if items is None else len(items)):
        yield f"{path}[{index}]"
