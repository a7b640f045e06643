"""Which of very many runs the scheduler looks at, so that the cost of a look does not grow with the queue. Reads only.

Two parts. The head: of each team those that its priorities and their age put first, as many of one team as of another, the most
urgent deadlines, and those that were submitted first. And a part that moves on with each look, oldest first and then from the start
again, so that nobody is passed over for good: not behind a head that waits for a node which nobody has, nor by a policy that would put
first whom the head leaves out. Kueue (kueue.sigs.k8s.io, "Cluster Queue") looks at the heads of its queues for the same reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from nodewise.core.model.ids import RunId

Place = tuple[datetime, RunId]
"""In the order of submission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Runs to look at, and up to where the moving part has come (None: it begins again)."""

    runs: Sequence[RunId]
    passed: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What waits beside: how many runs, and how many READY tasks they have."""

    runs: int
    tasks: int


_MANY = text(
    "SELECT count(*) > :size FROM (SELECT DISTINCT run_id FROM tasks WHERE state = 'READY') AS waiting"
)

_WINDOW = text("""
WITH waiting AS MATERIALIZED (
    SELECT r.id, r.team, r.priority, r.submitted_at, r.deadline
    FROM runs AS r
    WHERE r.id IN (SELECT run_id FROM tasks WHERE state = 'READY')
), turns AS (
    SELECT id, submitted_at, row_number() OVER (PARTITION BY team ORDER BY priority DESC, submitted_at, id) AS turn
    FROM waiting
)
(SELECT id, CAST(NULL AS timestamptz) AS submitted_at FROM turns ORDER BY turn, submitted_at, id LIMIT :head)
UNION ALL
(SELECT id, NULL FROM waiting WHERE deadline IS NOT NULL ORDER BY deadline, submitted_at, id LIMIT :some)
UNION ALL
(SELECT id, NULL FROM waiting ORDER BY submitted_at, id LIMIT :some)
UNION ALL
(SELECT id, NULL FROM runs WHERE state IN ('RUNNING', 'CANCELING') ORDER BY submitted_at, id LIMIT :some)
UNION ALL
(SELECT id, submitted_at FROM waiting
 WHERE CAST(:after_at AS timestamptz) IS NULL OR (submitted_at, id) > (:after_at, CAST(:after_id AS uuid))
 ORDER BY submitted_at, id LIMIT :moving)
""")


_REST = text("""
SELECT count(*) AS runs, coalesce(sum(waiting.tasks), 0)::bigint AS tasks
FROM (SELECT run_id, count(*) AS tasks FROM tasks WHERE state = 'READY' GROUP BY run_id) AS waiting
WHERE NOT EXISTS (SELECT FROM unnest(CAST(:run_ids AS uuid[])) AS seen(id) WHERE seen.id = waiting.run_id)
""")


def window_of(connection: Connection, size: int, *, after: Place | None) -> Window | None:
    """The runs to look at, about so many; None: no more than so many wait, so all of them.

    Args:
        connection: of the look's transaction.
        size: how many, within a tenth or so.
        after: what the window before said in `passed`.
    """
    if not connection.scalar(_MANY, {"size": size}):
        return None
    after_at, after_id = after or (None, None)
    counts = {"head": size * 4 // 10, "some": size // 10, "moving": _moving(size)}
    rows = connection.execute(_WINDOW, {"after_at": after_at, "after_id": after_id, **counts}).all()
    moving = [row for row in rows if row.submitted_at is not None]
    ended = len(moving) < counts["moving"]
    passed = None if ended else (moving[-1].submitted_at, RunId(str(moving[-1].id)))
    return Window(runs=tuple(dict.fromkeys(RunId(str(row.id)) for row in rows)), passed=passed)


def _moving(size: int) -> int:
    return size * 3 // 10


def looks_for_all(size: int, runs: int) -> int:
    """In how many looks at a window of that size the moving part comes to each of so many runs; 1: each look is at all."""
    return 1 if runs <= size else -(-runs // _moving(size))


def rest_of(connection: Connection, runs: Sequence[RunId]) -> Rest:
    """What waits beside these runs."""
    row = connection.execute(_REST, {"run_ids": list(runs)}).one()
    return Rest(runs=row.runs, tasks=row.tasks)
