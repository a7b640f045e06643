"""Records of runs that have ended, as many as a test of reports wants, written in bulk."""

from datetime import timedelta
from random import Random

from sqlalchemy import Connection, insert, text

from nodewise.core.db import schema
from nodewise.core.lifecycle import RunState
from nodewise.core.model.resources import Resources
from tests.support.rows import NOW, insert_node, insert_run

KINDS = ("preprocessing", "training", "evaluation")
NODES = {
    "big": ("amd64", 4000),
    "medium": ("amd64", 2000),
    "small-1": ("arm64", 1000),
    "small-2": ("arm64", 1000),
}


def insert_history(connection: Connection, *, runs: int, waves: int = 3, labelled: bool = True) -> None:
    """Runs of three tasks one after another, in waves, on four nodes; every ninth fails in its training."""
    rng = Random(7)
    for name, (architecture, millicores) in NODES.items():
        room = Resources(millicores=millicores, memory_mib=8000)
        insert_node(connection, name, room, architecture=architecture, node_class=name.split("-")[0])
    for number in range(runs):
        wave = number * waves // runs
        _insert_run(
            connection, number, wave=wave, rng=rng, labels={"wave": str(wave + 1)} if labelled else {}
        )
    # As who loads in bulk does: plans made for the few rows of the test before took minutes here.
    connection.execute(text("ANALYZE nodes, runs, tasks, attempts, bookings, events"))


def _insert_run(
    connection: Connection, number: int, *, wave: int, rng: Random, labels: dict[str, str]
) -> None:
    submitted = NOW + timedelta(seconds=30 * wave + 0.05 * number)
    failed = number % 9 == 8
    start = submitted + timedelta(seconds=rng.uniform(0.2, 6))
    tasks, attempts, bookings = [], [], []
    events = [(submitted, None, None, "PENDING"), (start, None, "PENDING", "RUNNING")]
    cursor = start
    for ordinal, kind in enumerate(KINDS):
        state = "SUCCEEDED"
        if failed and kind == "training":
            state = "FAILED"
        if failed and kind == "evaluation":
            state = "SKIPPED"
        end = cursor + timedelta(seconds=rng.uniform(0.5, 5))
        row = {
            "path": kind,
            "ordinal": ordinal,
            "component": kind,
            "kind": kind,
            "task_class": f"{kind}/forest",
        }
        ran = state != "SKIPPED"
        node = rng.choice(list(NODES))
        times = {"started_at": cursor if ran else None, "finished_at": end}
        tasks.append(
            row
            | times
            | {"state": state, "attempt": int(ran), "spec": {}, "ready_at": cursor, "upstream": []}
        )
        events.append((submitted, kind, None, "READY"))
        if ran:
            attempts.append(_attempt(kind, node, cursor, end, state=state, rng=rng))
            booked = {"booked_at": cursor, "released_at": end}
            bookings.append(
                {"path": kind, "attempt": 1, "node": node, "millicores": 10, "memory_mib": 5, "gpus": 0}
                | booked
            )
            events += [(cursor, kind, "PLACED", "RUNNING"), (end, kind, "RUNNING", state)]
        cursor = end
    final = RunState.FAILED if failed else RunState.SUCCEEDED
    events.append((cursor, None, "RUNNING", final.value))
    run_id = insert_run(
        connection,
        state=final,
        name=f"run-{number}",
        pipeline_name=f"pipeline <{number % 18}> & co",
        labels=labels,
        submitted_at=submitted,
        scheduled_at=start,
        started_at=start,
        finished_at=cursor,
    )
    connection.execute(insert(schema.tasks), [row | {"run_id": run_id} for row in tasks])
    connection.execute(insert(schema.attempts), [row | {"run_id": run_id} for row in attempts])
    connection.execute(insert(schema.bookings), [row | {"run_id": run_id} for row in bookings])
    connection.execute(
        insert(schema.events),
        [
            {
                "run_id": run_id,
                "at": at,
                "path": path,
                "event": "x",
                "from_state": old,
                "to_state": new,
                "service": "x",
            }
            for at, path, old, new in events
        ],
    )


def _attempt(
    kind: str, node: str, start: object, end: object, *, state: str, rng: Random
) -> dict[str, object]:
    """Predicted to take 0.5 to 5 s, as it will, with a range that is wrong about as often as not."""
    predicted = rng.uniform(0.5, 5)
    return {
        "path": kind, "attempt": 1, "node": node, "node_class": node.split("-", maxsplit=1)[0], "state": state, "policy": "fifo",
        "strategy": "greedy", "reason_code": "placed", "reason": f"{node} is least loaded <b>&</b>", "candidates": [],
        "placer": "placer-1", "placed_at": start, "lease_until": end, "started_at": start, "finished_at": end,
        "predicted_seconds": predicted, "predicted_low": predicted / 2, "predicted_high": predicted * 2,
        "prediction_level": 0.8, "prediction_basis": rng.choice(["prior", "pooled", "learned"]), "prediction_samples": 3,
        "predicted_memory_mib": 100.0, "predicted_memory_low": 80.0, "predicted_memory_high": 125.0, "peak_memory_mib": 110,
    }  # fmt: skip


def count(connection: Connection, table: str) -> int:
    """How many rows a table has."""
    return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
