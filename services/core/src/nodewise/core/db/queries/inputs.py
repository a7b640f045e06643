"""Where the data of tasks is, before they are placed. Reads only."""

import json
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from nodewise.core.model.ids import NodeName, RunId, TaskPath, TaskRef
from nodewise.core.model.task import TaskInput, WaitingTask

_BYTES_PER_MIB = 1024 * 1024

_OUTPUTS = text("""
SELECT t.run_id, t.path, a.node, coalesce((
    SELECT sum(CAST(artifact.value ->> 'size_bytes' AS float8)) FROM jsonb_each(t.outputs -> 'artifacts') AS artifact
), 0) AS size_bytes
FROM tasks AS t
JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS v(run_id uuid, path text) USING (run_id, path)
JOIN attempts AS a ON a.run_id = t.run_id AND a.path = t.path AND a.attempt = t.attempt
WHERE t.state = 'SUCCEEDED'
""")


def upstream_data(
    connection: Connection, tasks: Iterable[WaitingTask]
) -> Mapping[TaskRef, tuple[TaskInput, ...]]:
    """What the upstream tasks of these left, and where they ran; tasks without upstream are left out. One round trip."""
    waiting = [task for task in tasks if task.spec.upstream]
    wanted = sorted({(task.ref.run_id, path) for task in waiting for path in task.spec.upstream})
    if not wanted:
        return {}
    rows = json.dumps([{"run_id": run_id, "path": path} for run_id, path in wanted])
    found = {
        (RunId(str(row.run_id)), TaskPath(row.path)): TaskInput(
            node=NodeName(row.node), mib=row.size_bytes / _BYTES_PER_MIB
        )
        for row in connection.execute(_OUTPUTS, {"rows": rows})
    }
    return {
        task.ref: tuple(
            found[task.ref.run_id, path] for path in task.spec.upstream if (task.ref.run_id, path) in found
        )
        for task in waiting
    }
