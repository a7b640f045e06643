"""A leaf task as the scheduler and the placers see it."""

from dataclasses import replace

from nodewise.core.ir.amounts import DEFAULT_RESOURCES
from nodewise.core.ir.needs import Needs
from nodewise.core.ir.tree import Leaf, Step
from nodewise.core.model.component import ContainerWork
from nodewise.core.model.engines import AGENTS
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.task import TaskSpec


def task_spec(
    step: Step,
    leaf: Leaf,
    *,
    path: TaskPath,
    upstream: tuple[TaskPath, ...] = (),
    needs: Needs | None = None,
    engine: str = AGENTS,
) -> TaskSpec:
    """What a task's row says of it.

    Args:
        step: of the task.
        leaf: its component.
        path: its own.
        upstream: the leaf tasks that it waits for, as far as they are known.
        needs: of its node; None before it is ready, when limits that come from parameters are not known yet.
        engine: that of its run, whose nodes alone may be used.
    """
    hints = leaf.hints
    wanted = hints.requirements.accelerator or (needs.accelerator if needs else None)
    kind = hints.model.type if hints.model else leaf.component
    return TaskSpec(
        path=path,
        component=leaf.component,
        kind=hints.kind,
        task_class=hints.task_class or f"{hints.kind}/{kind}",
        resources=needs.resources if needs else DEFAULT_RESOURCES,
        dataset=hints.dataset,
        model=hints.model,
        requirements=replace(
            hints.requirements,
            accelerator=wanted,
            containers=isinstance(leaf.work, ContainerWork),
            engine=engine,
        ),
        preferences=hints.preferences,
        retry=step.retry,
        timeout=hints.timeout,
        upstream=upstream,
    )
