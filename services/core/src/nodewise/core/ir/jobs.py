"""Jobs from what is on record of a task."""

from nodewise.core.errors import InvalidPipeline
from nodewise.core.estimates.memory import effective_resources
from nodewise.core.ir.needs import needs
from nodewise.core.ir.rows import RunFacts
from nodewise.core.ir.tree import Leaf
from nodewise.core.model.artifact import Values
from nodewise.core.model.component import ImportWork
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.model.task import TaskSpec


def build_job(
    leaf: Leaf,
    inputs: Values,
    *,
    key: AttemptKey,
    spec: TaskSpec,
    facts: RunFacts,
    dataset_uri: str | None = None,
) -> Job:
    """All that an agent needs for one attempt at a task.

    Args:
        leaf: its component.
        inputs: as resolved when it became ready.
        key: of the attempt.
        spec: as on record; what is booked for it is what the job may use.
        facts: of the run.
        dataset_uri: where the registered data set is that the task named.

    Raises:
        InvalidPipeline: an importer, which needs no node.
        UnresolvedInput: an amount that is none.
    """
    if isinstance(leaf.work, ImportWork):
        raise InvalidPipeline(f"components.{leaf.name}", "an importer does not run on a node")
    resources, limit = effective_resources(spec), needs(leaf, inputs, path=key.path).memory_limit_mib
    return Job(
        key=key,
        run_name=facts.name,
        component=spec.component,
        work=leaf.work,
        signature=leaf.signature,
        inputs=inputs,
        facts={fact.value: text for fact, text in facts.of_task(key.path).items()},
        resources=resources,
        memory_limit_mib=None if limit is None else max(limit, resources.memory_mib),
        timeout=spec.timeout,
        dataset_uri=dataset_uri,
    )
