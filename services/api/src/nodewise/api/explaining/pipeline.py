"""What the pipeline of a run says beside its rows: the parts of which no task was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from nodewise.api.explaining.parts import Part, part_of, parts_without_tasks
from nodewise.api.views import Row
from nodewise.core.db.queries.lives import tasks_of_runs
from nodewise.core.db.queries.specs import spec_of_run
from nodewise.core.errors import NodewiseError
from nodewise.core.ir import Program, RunFacts, read_program
from nodewise.core.model.engines import KUBEFLOW
from nodewise.core.model.ids import RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmade:
    """The parts, with the pipeline that they are of."""

    program: Program
    parts: Sequence[Part]

    def of(self, task: str) -> Part | None:
        """The part that a task would be in; None: the pipeline has no such task, or it is in none of them."""
        return part_of(self.parts, self.program, task)


def unmade(connection: Connection, run: Row, *, most: int) -> Unmade | None:
    """The parts of a run without tasks.

    None: its pipeline is not to be had, or KFP runs it, and then every part has rows.

    Args:
        connection: Of the question's snapshot.
        run: As the API shows it.
        most: How many tasks a run may have.
    """
    run_id = RunId(str(run["id"]))
    spec = None if run["engine"] == KUBEFLOW else spec_of_run(connection, run_id)
    if spec is None:
        return None
    try:
        program = read_program(*spec, max_instances=most)
    except NodewiseError:
        # Stored by a release that read it.
        return None
    rows = {path: task.row for path, task in tasks_of_runs(connection, [run_id])[run_id].items()}
    parts = parts_without_tasks(
        program, run["parameters"], rows, facts=_facts(run), canceling=run["cancel_requested_at"] is not None
    )
    return Unmade(program=program, parts=parts)


def _facts(run: Row) -> RunFacts:
    submitted_at, scheduled_for = run["submitted_at"], run["scheduled_for"]
    assert isinstance(submitted_at, datetime)  # noqa: S101 - a column that is never null
    return RunFacts.of_run(
        str(run["id"]), run["name"], submitted_at=submitted_at, scheduled_for=scheduled_for
    )
