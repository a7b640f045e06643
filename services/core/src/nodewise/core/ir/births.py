"""New tasks of a run, as their rows say it."""

from collections.abc import Mapping

from nodewise.core.estimates.sizing import size_of, with_measurements
from nodewise.core.ir.needs import needs_before
from nodewise.core.ir.specs import task_spec
from nodewise.core.ir.tree import Leaf, Step
from nodewise.core.model.birth import NewTask
from nodewise.core.model.engines import AGENTS
from nodewise.core.model.ids import TaskPath
from nodewise.core.model.task import DatasetFacts


def new_task(
    step: Step,
    leaf: Leaf,
    *,
    path: TaskPath,
    upstream: tuple[TaskPath, ...],
    datasets: Mapping[str, DatasetFacts],
    engine: str = AGENTS,
) -> NewTask:
    """A leaf task that waits.

    Args:
        step: of the task.
        leaf: its component.
        path: its own.
        upstream: the leaf tasks that it waits for.
        datasets: what is measured of the registered data sets, by name.
        engine: that of its run.

    Raises:
        ValueError, OverflowError: its author's figures are too large to estimate anything from.
    """
    spec = task_spec(step, leaf, path=path, upstream=upstream, needs=needs_before(leaf), engine=engine)
    spec = with_measurements(spec, datasets)
    size = size_of(spec)
    return NewTask(
        spec=spec,
        effort_flops=size.effort_flops,
        input_bytes=size.input_bytes,
        finaliser=step.finaliser,
        ready=False,
    )
