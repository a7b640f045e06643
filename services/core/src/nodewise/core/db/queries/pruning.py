"""What retention removes of the record, batch by batch. Writer of these deletions: api, and nobody else deletes.

Each function is one short transaction's work, takes only rows that nobody else holds (SKIP LOCKED), and decides by what
is there, not by what an earlier batch did: it can be left off at any moment and begun again. The order of locks is that
of the schema: runs, and by their cascades tasks, attempts and bookings; results and pipelines in transactions of their own.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, text

from nodewise.core.db.engine import snapshot, transaction

_TASKS_AT_ONCE: Final = 5000
_READ_AT_ONCE: Final = 2000

# Whatever still holds room, is on its way into KFP, or is the origin of a try that goes on, stays until that is over.
_OVER: Final = """
r.finished_at < :before AND r.state = ANY(:states)
AND NOT EXISTS (SELECT FROM attempts AS a WHERE a.run_id = r.id AND a.state IN ('PLACED', 'RUNNING'))
AND NOT EXISTS (SELECT FROM bookings AS b WHERE b.run_id = r.id AND b.released_at IS NULL)
AND NOT EXISTS (SELECT FROM kfp_submissions AS k WHERE k.run_id = r.id AND k.confirmed_at IS NULL AND k.refused_at IS NULL)
AND NOT EXISTS (SELECT FROM runs AS n WHERE n.retry_of = r.id AND n.finished_at IS NULL)
"""

_LOCK_RUNS = text(f"""
SELECT r.id, (SELECT count(*) FROM tasks AS t WHERE t.run_id = r.id) AS tasks
FROM runs AS r WHERE {_OVER} ORDER BY r.finished_at, r.id LIMIT :limit FOR UPDATE OF r SKIP LOCKED
""")  # noqa: S608 - only the condition above is put in

_COUNT_ROWS = text("""
SELECT (SELECT count(*) FROM tasks WHERE run_id = ANY(CAST(:ids AS uuid[]))) AS tasks,
       (SELECT count(*) FROM attempts WHERE run_id = ANY(CAST(:ids AS uuid[]))) AS attempts,
       (SELECT count(*) FROM events WHERE run_id = ANY(CAST(:ids AS uuid[]))) AS events
""")

_DELETE_RUNS = text("DELETE FROM runs WHERE id = ANY(CAST(:ids AS uuid[]))")

_COUNT_RUNS = text(f"""
WITH over AS MATERIALIZED (SELECT r.id FROM runs AS r WHERE {_OVER})
SELECT (SELECT count(*) FROM over) AS runs,
       (SELECT count(*) FROM tasks WHERE run_id IN (SELECT id FROM over)) AS tasks,
       (SELECT count(*) FROM attempts WHERE run_id IN (SELECT id FROM over)) AS attempts,
       (SELECT count(*) FROM events WHERE run_id IN (SELECT id FROM over)) AS events
""")  # noqa: S608

_ORPHANS: Final = "NOT EXISTS (SELECT FROM runs AS r WHERE r.id = c.run_id)"
_LOCK_RESULTS = text(f"""
SELECT c.digest FROM cached_results AS c WHERE {_ORPHANS} ORDER BY c.digest LIMIT :limit FOR UPDATE OF c SKIP LOCKED
""")  # noqa: S608
_DELETE_RESULTS = text(f"DELETE FROM cached_results AS c WHERE c.digest = ANY(:digests) AND {_ORPHANS}")  # noqa: S608
_COUNT_RESULTS = text(f"""
SELECT count(*) FROM cached_results AS c
WHERE {_ORPHANS} OR EXISTS (SELECT FROM runs AS r WHERE r.id = c.run_id AND {_OVER})
""")  # noqa: S608

_UNUSED: Final = """
s.created_at < :before AND NOT EXISTS (SELECT FROM schedules AS d WHERE d.spec_digest = s.digest)
AND NOT EXISTS (SELECT FROM runs AS r WHERE r.spec_digest = s.digest"""
_LOCK_SPECS = text(f"""
SELECT s.digest FROM pipeline_specs AS s WHERE {_UNUSED}) ORDER BY s.digest LIMIT :limit FOR UPDATE OF s SKIP LOCKED
""")  # noqa: S608
_DELETE_SPECS = text(f"DELETE FROM pipeline_specs AS s WHERE s.digest = ANY(:digests) AND {_UNUSED})")  # noqa: S608
_COUNT_SPECS = text(f"SELECT count(*) FROM pipeline_specs AS s WHERE {_UNUSED} AND NOT ({_OVER}))")  # noqa: S608

_KNOWN_RUNS = text("SELECT id FROM runs WHERE id = ANY(CAST(:ids AS uuid[]))")
_KNOWN_AND_STAYING = text(f"""
SELECT r.id FROM runs AS r WHERE r.id = ANY(CAST(:ids AS uuid[])) AND NOT ({_OVER})
""")  # noqa: S608

# Found by what they look like, wherever they stand: a parameter or a constant may be an address, too. Split at the scheme, since
# regular expressions take ten times as long; what comes behind it and is no digest is no candidate's either.
_OF_RUNS: Final = """
SELECT r.parameters::text || coalesce(r.outputs::text, '') FROM runs AS r {where}
UNION ALL SELECT coalesce(t.inputs::text, '') || coalesce(t.outputs::text, '') FROM tasks AS t {of_tasks}
UNION ALL SELECT coalesce(a.job_uri, '') FROM attempts AS a {of_attempts}
UNION ALL SELECT c.outputs::text FROM cached_results AS c {of_results}
"""
_OF_ALL: Final = """
UNION ALL SELECT ir::text || platforms::text FROM pipeline_specs
UNION ALL SELECT request::text FROM schedules
UNION ALL SELECT uri FROM datasets
"""
_REFERENCES: Final = """
SELECT left(part, 69) AS address FROM ({texts}) AS found (words), unnest((string_to_array(words, 'store://'))[2:]) AS part
"""
_STAYS: Final = f"JOIN runs AS r ON r.id = {{}}.run_id WHERE NOT ({_OVER})"


def _references(**parts: str) -> str:
    return _REFERENCES.format(texts=_OF_RUNS.format(**parts) + _OF_ALL)


_ALL_REFERENCES = text(_references(where="", of_tasks="", of_attempts="", of_results=""))
_REFERENCES_THAT_STAY = text(
    _references(
        where=f"WHERE NOT ({_OVER})",
        of_tasks=_STAYS.format("t"),
        of_attempts=_STAYS.format("a"),
        of_results=_STAYS.format("c"),
    )
)

# Nobody reuses a result in this moment whose transaction cannot be seen yet: `find_result` holds what this waits for.
_NO_RESULT_IN_FLIGHT = text("LOCK TABLE cached_results IN EXCLUSIVE MODE")
_ANYTHING = text("SELECT 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """Which runs go: those that ended in one of these states before that time."""

    before: datetime
    states: Sequence[str]

    @property
    def values(self) -> dict[str, object]:
        return {"before": self.before, "states": list(self.states)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRuns:
    """How many rows went, or would go."""

    runs: int = 0
    tasks: int = 0
    attempts: int = 0
    events: int = 0


def remove_runs(connection: Connection, over: Over, *, limit: int) -> RemovedRuns:
    """Remove the runs that ended first, with all that is theirs; none: there are no more (or others hold them)."""
    found = connection.execute(_LOCK_RUNS, {**over.values, "limit": limit}).all()
    ids: list[str] = []
    tasks = 0
    for row in found:
        tasks += row.tasks
        if ids and tasks > _TASKS_AT_ONCE:
            break
        ids.append(str(row.id))
    if not ids:
        return RemovedRuns()
    counts = connection.execute(_COUNT_ROWS, {"ids": ids}).one()
    connection.execute(_DELETE_RUNS, {"ids": ids})
    return RemovedRuns(runs=len(ids), **counts._mapping)


def count_runs(connection: Connection, over: Over) -> RemovedRuns:
    """What all batches of `remove_runs` would remove."""
    return RemovedRuns(**connection.execute(_COUNT_RUNS, over.values).one()._mapping)


def remove_results(connection: Connection, *, limit: int) -> int:
    """Remove results whose producer is gone; how many."""
    digests = connection.scalars(_LOCK_RESULTS, {"limit": limit}).all()
    return connection.execute(_DELETE_RESULTS, {"digests": list(digests)}).rowcount


def count_results(connection: Connection, over: Over) -> int:
    """How many results would go once these runs are gone."""
    return int(connection.scalar(_COUNT_RESULTS, over.values) or 0)


def remove_specs(connection: Connection, over: Over, *, limit: int) -> int:
    """Remove pipelines that came before that time and that no run and no schedule is of; how many.

    A submission that is about to use one holds it (`insert_spec`): such a one is passed over, or, once it is locked here,
    looked at again with what has become visible meanwhile.
    """
    values = {"before": over.before}
    digests = connection.scalars(_LOCK_SPECS, {**values, "limit": limit}).all()
    return connection.execute(_DELETE_SPECS, {**values, "digests": list(digests)}).rowcount


def count_specs(connection: Connection, over: Over) -> int:
    """How many pipelines would go once these runs are gone."""
    return int(connection.scalar(_COUNT_SPECS, over.values) or 0)


def runs_that_stay(connection: Connection, run_ids: Collection[str], over: Over | None) -> set[str]:
    """Those of these ids that are on record; with `over`, only those that would be once these runs are gone."""
    query, values = (_KNOWN_RUNS, {}) if over is None else (_KNOWN_AND_STAYING, over.values)
    return {str(run_id) for run_id in connection.scalars(query, {**values, "ids": list(run_ids)})}


@contextmanager
def references(engine: Engine, over: Over | None = None) -> Iterator[Iterator[tuple[str, str]]]:
    """All addresses in the store that rows name, as (kind, digest), some more than once, all as of one moment.

    What a row names later was named by one before, or was written or refreshed meanwhile. With `over`, only what rows
    name that would stay once these runs are gone.
    """
    query, values = (_ALL_REFERENCES, {}) if over is None else (_REFERENCES_THAT_STAY, over.values)
    with snapshot(engine) as connection:
        with transaction(engine) as other:
            other.execute(_NO_RESULT_IN_FLIGHT)
            connection.execute(_ANYTHING)
        streamed = connection.execution_options(stream_results=True, yield_per=_READ_AT_ONCE)
        yield (_kind_and_digest(address) for address in streamed.scalars(query, values))


def _kind_and_digest(address: str) -> tuple[str, str]:
    kind, _, digest = address.partition("/")
    return kind, digest
