"""Jobs from claimed tasks: the pipeline is read once per content, everything else comes from rows."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydantic import ValidationError
from sqlalchemy import Connection

from nodewise.core.db.queries.datasets import datasets_named
from nodewise.core.db.queries.placements import ClaimedTask
from nodewise.core.db.queries.specs import compiled_specs
from nodewise.core.errors import NodewiseError
from nodewise.core.ir import Program, RunFacts, read_program
from nodewise.core.ir.jobs import build_job
from nodewise.core.ir.locate import leaf_at
from nodewise.core.model.ids import AttemptKey
from nodewise.core.model.job import Job
from nodewise.core.model.trace import traceparent_of

PIPELINES_KEPT: Final = 64


class JobBuilder:
    """Builds jobs, and keeps the pipelines that it read last (they never change: their name is their digest)."""

    def __init__(self, *, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        self._pipelines: OrderedDict[str, Program] = OrderedDict()

    def build(
        self, connection: Connection, claimed: Sequence[ClaimedTask]
    ) -> tuple[dict[AttemptKey, Job], dict[AttemptKey, str]]:
        """The jobs by attempt, and what is wrong with those that could not be built. At most two queries."""
        problems = self._read(connection, {item.spec_digest for item in claimed})
        datasets = _dataset_uris(connection, claimed)
        jobs: dict[AttemptKey, Job] = {}
        refused: dict[AttemptKey, str] = {}
        for item in claimed:
            made = problems.get(item.spec_digest) or self._job(item, datasets)
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
                self._pipelines[digest] = read_program(ir, platforms, max_instances=self._max_tasks)
            except (NodewiseError, KeyError, ValueError) as error:
                problems[digest] = f"its pipeline cannot be read: {error}"
        for digest in digests & self._pipelines.keys():
            self._pipelines.move_to_end(digest)
        return problems

    def _job(self, item: ClaimedTask, datasets: Mapping[str, str]) -> Job | str:
        leaf = leaf_at(self._pipelines[item.spec_digest], item.key.path)
        if leaf is None:
            return f"its pipeline has no task {item.key.path!r}"
        if item.inputs is None:
            return "an earlier release made it ready, without its inputs on record; submit the run again"
        spec, submitted_at = item.task.spec, item.task.submitted_at
        facts = RunFacts.of_run(
            item.key.run_id, item.run_name, submitted_at=submitted_at, scheduled_for=item.scheduled_for
        )
        try:
            job = build_job(
                leaf,
                item.inputs,
                key=item.key,
                spec=spec,
                facts=facts,
                dataset_uri=datasets.get(spec.dataset.name or "") if spec.dataset else None,
            )
            return replace(job, traceparent=traceparent_of(item.key, item.traceparent))
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
