"""What was learned of run times and memory. Writer: recorder."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, text

from nodewise.core.estimates.learning import Beliefs, Observation, Samples, observe_all

_LOAD = text("SELECT task_class, node_class, seconds, memory FROM runtime_estimates")

_VERSION = text("SELECT max(updated_at) FROM runtime_estimates")

_PAIRS = "jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(task_class text, node_class text)"

# Inserts what is missing and locks what is there, in one order for all; the update that changes nothing is the lock.
_LOCK = text(f"""
INSERT INTO runtime_estimates AS e (task_class, node_class, seconds, memory, updated_at)
SELECT v.task_class, v.node_class, CAST(:empty AS jsonb), CAST(:empty AS jsonb), :at
FROM {_PAIRS}
ORDER BY v.task_class, v.node_class
ON CONFLICT (task_class, node_class) DO UPDATE SET updated_at = e.updated_at
RETURNING e.task_class, e.node_class, e.seconds, e.memory
""")  # noqa: S608 - constants

# The version, the latest of all times, must move on, even where two transactions carry the same time or the clock went back.
_UPDATE = text("""
UPDATE runtime_estimates AS e
SET seconds = v.seconds, memory = v.memory,
    updated_at = greatest(CAST(:at AS timestamptz), latest.at + interval '1 microsecond')
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(task_class text, node_class text, seconds jsonb, memory jsonb),
    (SELECT max(updated_at) AS at FROM runtime_estimates) AS latest
WHERE (e.task_class, e.node_class) = (v.task_class, v.node_class)
""")


def load_beliefs(connection: Connection) -> Beliefs:
    """All that was learned."""
    return _beliefs(connection.execute(_LOAD).all())


def beliefs_version(connection: Connection) -> datetime | None:
    """Changes when something was learned; None: nothing was. Cheap: ask before `load_beliefs`.

    Of two recorders that learn at the same time, the outcome of one may show only with the next one.
    """
    version: datetime | None = connection.scalar(_VERSION)
    return version


def record_outcomes(connection: Connection, observations: Sequence[Observation], *, at: datetime) -> None:
    """Learn from these outcomes, oldest first. Locks their pairs until the transaction ends, so call it last."""
    pairs = sorted({(seen.query.task_class, seen.query.node_class) for seen in observations})
    if not pairs:
        return
    rows = json.dumps([{"task_class": task_class, "node_class": node} for task_class, node in pairs])
    empty = json.dumps(Samples().to_json())
    known = connection.execute(_LOCK, {"rows": rows, "empty": empty, "at": at}).all()
    learned = observe_all(_beliefs(known), observations)
    updates = [_row(pair, learned) for pair in pairs]
    connection.execute(_UPDATE, {"rows": json.dumps(updates), "at": at})


def _row(pair: tuple[str, str], beliefs: Beliefs) -> dict[str, object]:
    task_class, node_class = pair
    return {
        "task_class": task_class,
        "node_class": node_class,
        "seconds": beliefs.seconds[pair].to_json(),
        "memory": beliefs.memory[pair].to_json(),
    }


def _beliefs(rows: "Sequence[Row[tuple[object, ...]]]") -> Beliefs:
    return Beliefs(
        seconds={(row.task_class, row.node_class): Samples.from_json(row.seconds) for row in rows},
        memory={(row.task_class, row.node_class): Samples.from_json(row.memory) for row in rows},
    )
