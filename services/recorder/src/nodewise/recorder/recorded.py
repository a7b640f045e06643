"""Reads history as a planning problem from the database: for `nodewise export --problem` and, through the entry point
group `nodewise.histories`, for `nodewise replay`.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nodewise.core.db.queries.estimates import load_beliefs
from nodewise.core.db.queries.history import history
from nodewise.core.estimates.forecast import predictor
from nodewise.core.estimates.learning import fit
from nodewise.core.settings import read_settings
from nodewise.recorder.connecting import NotPossible, connected
from nodewise.recorder.period import period
from nodewise.recorder.reports.problem import EmptyHistory, problem_document


def recorded_problem(database: str | None, *, since: str | None, until: str | None) -> dict[str, Any]:
    """What was submitted in a period, as a problem document with what became of it. See `problem_document`.

    Args:
        database: URL of a Postgres; None: that of the environment, else of the stack that was started here.
        since: ISO 8601; None: from the beginning.
        until: The same, a date includes its day; None: until now.

    Raises:
        InvalidPeriod: The times name no period of the past.
        EmptyHistory: Nothing of that period ran to an end.
        NotPossible: There is no such database.
    """
    meant = period(since, until, now=datetime.now(UTC))
    with connected(database) as connection:
        found = history(connection, since=meant.since, until=meant.until)
        predict = predictor(fit(load_beliefs(connection)))
    if not any(run.tasks for run in found.runs):
        raise EmptyHistory(meant, found.under_way)
    return problem_document(found, predict, link_mib_per_s=read_settings().link_mib_per_s)


def write_problem(file: Path, database: str | None, *, since: str | None, until: str | None) -> str:
    """Write the problem into `file`; return a sentence that says so. Raises as `recorded_problem` does."""
    document = recorded_problem(database, since=since, until=until)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise NotPossible(f"cannot write {file}: {error.strerror or error}") from error
    tasks = sum(len(pipeline["tasks"]) for pipeline in document["pipelines"])
    return f"Wrote {len(document['pipelines'])} pipelines, {tasks} tasks, as a problem into {file}"
