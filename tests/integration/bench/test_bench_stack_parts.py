"""The parts of the stack's benchmark run, at a size that takes seconds; the rows that they make are the gateway's."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from bench.stack import chains, dispatching, peers, queued, starting
from bench.stack.copies import copy, put_aside, submitted
from bench.stack.serving import OPEN, gateway
from nodewise.api.examples import PARAMETERS, PIPELINE
from nodewise.core.db.audits import Scope, audit
from nodewise.core.settings import Settings
from tests.support.placing import add_nodes, all_rows, make_placer, make_scheduler, wall_clock


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where figures go; targets that a busy machine cannot meet are out of the way, and no peers are there."""
    folder = tmp_path / "results"
    monkeypatch.setattr("bench.measure.RESULTS", folder)
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(dispatching, "LEAST_RATE", 0.0)
    monkeypatch.setattr(queued, "MOST_LOOK_SECONDS", 1e6)
    monkeypatch.setattr(queued, "MOST_PAGE_MS", 1e6)
    monkeypatch.setattr(queued, "MOST_PLAN_MS", 1e6)
    monkeypatch.setattr(queued, "MOST_EXPLAIN_MS", 1e6)
    monkeypatch.setattr(starting, "MOST_MS", 1e6)
    monkeypatch.setattr(starting, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(starting, "WARM_UP", 1)
    monkeypatch.setattr(chains, "_SETTLE_SECONDS", 0.0)
    return folder


def figures(results: Path, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((results / f"stack_{name}.json").read_text())["figures"]
    return found


@pytest.fixture
def copied(settings: Settings) -> Iterator[int]:
    """A database with a run that the gateway took and five copies of it; how many runs that makes."""
    env = {
        **OPEN,
        "NODEWISE_DATABASE_URL": settings.database_url,
        "NODEWISE_REDIS_URL": settings.redis_url,
        "NODEWISE_STORE_URL": settings.store_url,
    }
    with gateway(env) as api:
        body = {"pipeline_spec": PIPELINE, "parameters": PARAMETERS, "strategy": "fifo_greedy"}
        run_id = submitted(api, body)
    with psycopg.connect(settings.database_url) as connection:
        put_aside(connection, run_id)
        copy(connection, 5, changes=queued.VARIETY)
    yield 6
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("DROP SCHEMA original CASCADE")


def test_copies_differ_from_the_gateways_rows_in_ids_times_and_variety_only(
    engine: Engine, copied: int
) -> None:
    def distinct(table: str, *left_out: str) -> list[tuple[object, ...]]:
        removed = "".join(f" - '{column}'" for column in left_out)
        return all_rows(
            engine,
            f"SELECT count(DISTINCT to_jsonb(t){removed}), count(*), count(DISTINCT t.{left_out[0]}) FROM {table} AS t",
        )

    runs = ("id", "submitted_at", "settled_at", *queued.VARIETY)
    assert distinct("runs", *runs) == [(1, copied, copied)]
    assert distinct("tasks", "run_id", "ready_at") == [(1, copied, copied)]
    # One event of the run, one of its task.
    assert distinct("events", "id", "run_id", "at") == [(2, 2 * copied, 2 * copied)]


def test_copies_pass_the_audit_and_are_admitted_and_placed(
    engine: Engine, settings: Settings, copied: int
) -> None:
    add_nodes(engine, n1=100)
    make_scheduler(engine, settings).look()
    make_placer(engine, settings).look()
    assert all_rows(engine, "SELECT state, count(*) FROM tasks GROUP BY state") == [("PLACED", copied)]
    found = audit(engine, Scope(since=wall_clock() - timedelta(hours=1), limit=100), now=wall_clock())
    assert (found.runs, found.tasks, found.findings) == (copied, copied, [])


def test_tasks_are_counted_when_they_are_dispatched(results: Path) -> None:
    shape = dispatching.Shape(placers=2, nodes=3, tasks=200)
    dispatching.run([shape])
    found = figures(results, "dispatching")
    (rate,) = found["rates"]
    assert rate["shape"] == {"placers": 2, "nodes": 3, "tasks": 200, "preset": "fifo_greedy", "batch": 100}
    assert rate["tasks_per_second"] > 0
    assert rate["look_seconds"] > 0
    assert rate["batch_seconds"] > 0
    assert found["bare_skip_locked"] > rate["tasks_per_second"]


def test_looks_and_pages_are_measured_with_runs_queued(results: Path) -> None:
    queued.run(runs=60, looks=1, seconds=0.2)
    found = figures(results, "queued")
    assert [one["preset"] for one in found["looks"]] == list(queued.PRESETS)
    for looks in found["looks"]:
        assert looks["first_seconds"] > 0
        assert len(looks["seconds"]) == 1
        assert looks["scheduler_mb"] > 10
    assert found["pages"].keys() == {"alone", "with scheduler"}
    assert found["answers"].keys() == {"plan", "explain, the first run", "explain, one from the middle"}
    assert all(one["answers"] >= 2 and one["p50_ms"] > 0 for one in found["answers"].values())
    assert all(page["answers"] >= 3 for pages in found["pages"].values() for page in pages.values())


@pytest.mark.stack
def test_a_first_task_is_timed_on_a_whole_stack_and_missing_peers_are_left_out(results: Path) -> None:
    starting.run(times=2, prefect_times=1)
    found = figures(results, "starting")
    taken = found["nodewise"]
    assert all(
        0 < answered < started
        for answered, started in zip(taken["answered_ms"], taken["started_ms"], strict=True)
    )
    assert [peer["figures"] for peer in found["peers"].values()] == [None, None, None]


@pytest.mark.stack
def test_whole_chains_are_counted_on_a_whole_stack(results: Path) -> None:
    chains.run(pipelines=3, peer_pipelines=3, rounds=1)
    found = figures(results, "chains")
    assert found["pipelines_per_second"]["nodewise"] > 0
    assert found["pipelines_per_second"].keys() == {"nodewise"}
