"""Jobs from claimed tasks: the pipeline is read once per content, everything else comes from rows."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydantic import ValidationError
from sqlalchemy import Connection

from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.placements import ClaimedTask, compiled_specs, upstream_outputs
from nodewise.core.errors import NodewiseError
from nodewise.core.ir import build_job, read_pipeline
from nodewise.core.model.artifact import TaskOutputs
from nodewise.core.model.ids import AttemptKey, TaskPath
from nodewise.core.model.job import Job
from nodewise.core.model.pipeline import Pipeline

PIPELINES_KEPT: Final = 64


class JobBuilder:
    """Builds jobs, and keeps the pipelines that it read last (they never change: their name is their digest)."""

    def __init__(self, *, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        self._pipelines: OrderedDict[str, Pipeline] = OrderedDict()

    def build(
        self, connection: Connection, claimed: Sequence[ClaimedTask]
    ) -> tuple[dict[AttemptKey, Job], dict[AttemptKey, str]]:
        """The jobs by attempt, and what is wrong with those that could not be built. At most three queries."""
        problems = self._read(connection, {item.spec_digest for item in claimed})
        outputs = upstream_outputs(connection, [item.task for item in claimed])
        datasets = _dataset_uris(connection, claimed)
        jobs: dict[AttemptKey, Job] = {}
        refused: dict[AttemptKey, str] = {}
        for item in claimed:
            made = problems.get(item.spec_digest) or self._job(
                item, outputs.get(item.key.run_id, {}), datasets
            )
            if isinstance(made, str):
                refused[item.key] = made
            else:
                jobs[item.key] = made
        self._forget_oldest()
        return jobs, refused

    def _read(self, connection: Connection, digests: set[str]) -> dict[str, str]:
        """Read the pipelines not yet known; return what is wrong with those that cannot be read."""
        unknown = digests - self._pipelines.keys()
        specs = compiled_specs(connection, unknown) if unknown else {}
        problems = {}
        for digest in sorted(unknown):
            try:
                ir, platforms = specs[digest]
                self._pipelines[digest] = read_pipeline(ir, platforms, max_tasks=self._max_tasks)
            except (NodewiseError, KeyError, ValueError) as error:
                problems[digest] = f"its pipeline cannot be read: {error}"
        for digest in digests & self._pipelines.keys():
            self._pipelines.move_to_end(digest)
        return problems

    def _job(
        self, item: ClaimedTask, outputs: Mapping[TaskPath, TaskOutputs], datasets: Mapping[str, str]
    ) -> Job | str:
        pipeline = self._pipelines[item.spec_digest]
        task = pipeline.tasks.get(item.key.path)
        if task is None:
            return f"its pipeline has no task {item.key.path!r}"
        spec = item.task.spec
        try:
            return build_job(
                # The row's spec holds what was measured at submission: what is booked is what the job may use.
                replace(task, spec=spec),
                key=item.key,
                run_name=item.run_name,
                parameters=item.parameters,
                outputs=outputs,
                dataset_uri=datasets.get(spec.dataset.name or "") if spec.dataset else None,
            )
        except (NodewiseError, ValidationError, KeyError, ValueError) as error:
            return f"its job cannot be built: {error}"

    def _forget_oldest(self) -> None:
        while len(self._pipelines) > PIPELINES_KEPT:
            self._pipelines.popitem(last=False)


def _dataset_uris(connection: Connection, claimed: Iterable[ClaimedTask]) -> dict[str, str]:
    named = {item.task.spec.dataset.name for item in claimed if item.task.spec.dataset}
    names = sorted(name for name in named if name)
    if not names:
        return {}
    return {name: row.uri for name, row in datasets_named(connection, names).items()}
