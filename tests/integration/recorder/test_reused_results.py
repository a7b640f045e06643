"""Results that are reused from run to run, and why they are not; the library that looks them up keeps its contract."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest
from sqlalchemy import Connection, Engine, insert, text

from nodewise.core.codec import encode
from nodewise.core.db import schema
from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.cached_results import store_results
from nodewise.core.ir.caching import CacheKey, KeyPart
from nodewise.core.lifecycle import TaskState
from nodewise.core.model.artifact import ArtifactRef, TaskOutputs
from nodewise.core.model.ids import RunId, TaskPath, TaskRef
from nodewise.core.model.task import DatasetFacts
from nodewise.recorder.course import Library
from nodewise.recorder.library import RecordLibrary
from tests.support.driving import Driver, run_row
from tests.support.libraries import FakeLibrary
from tests.support.recording import World, report
from tests.support.replaying import broken_lives
from tests.support.rows import NOW, insert_run, insert_task
from tests.support.whole_pipelines import DATA, documents, program

REASONS = "SELECT path, reason_code, reason FROM events WHERE run_id = :id AND event IN ('inputs_ready', 'resolve') ORDER BY id"


@pytest.fixture
def world(engine: Engine) -> World:
    world = World(engine)
    world.hear()
    return world


def submitted(world: World, name: str = "reusable", **options: object) -> RunId:
    ir, platforms = documents(name)
    return world.submit_pipeline(ir, platforms=platforms, **options)


def done(world: World, name: str = "reusable", **options: object) -> RunId:
    run_id = submitted(world, name, **options)
    Driver(world=world, programs={run_id: program(name)}).run()
    return run_id


def attempts(world: World, run_id: RunId) -> int:
    (count,) = world.one("SELECT count(*) FROM attempts WHERE run_id = :id", id=run_id)
    return int(str(count))


def test_an_equal_run_takes_all_its_results_from_the_first(world: World) -> None:
    first, second = done(world), done(world)
    assert (attempts(world, first), attempts(world, second)) == (2, 0)
    assert run_row(world, second) == run_row(world, first)
    assert run_row(world, second)["outputs"] == {"Output": 12}
    assert world.all(REASONS, id=second) == [
        ("add", "cached", f"reused: 'add' of run {first} was equal"),
        ("add-2", "cached", f"reused: 'add-2' of run {first} was equal"),
    ]
    assert broken_lives(world) == []
    query = "SELECT started_at, finished_at, attempt FROM tasks WHERE run_id = :id"
    assert world.all(query, id=second) == [(None, world.clock.now, 0)] * 2


def test_a_second_equal_call_of_a_component_takes_the_result_of_the_first(world: World) -> None:
    run_id = done(world, "called-twice")
    assert attempts(world, run_id) == 1
    assert world.all(REASONS, id=run_id) == [
        ("add", "queued", "its inputs are there"),
        ("add-2", "cached", f"reused: 'add' of run {run_id} was equal"),
    ]
    assert broken_lives(world) == []


def test_a_run_that_is_not_to_reuse_runs_everything_and_leaves_nothing_to_reuse(world: World) -> None:
    done(world)
    fresh = done(world, cache=False)
    assert attempts(world, fresh) == 2
    assert world.one("SELECT count(DISTINCT run_id) FROM cached_results WHERE run_id = :id", id=fresh) == (0,)
    assert attempts(world, done(world)) == 0


def test_a_miss_says_what_differs(world: World) -> None:
    done(world)
    other = done(world, parameters={"n": 4})
    (_, code, text_), *_ = world.all(REASONS, id=other)
    assert (code, text_) == (
        "queued",
        "its inputs are there; no earlier result is reused: no earlier task was the same: "
        "parameter a was 1, is 4",
    )
    assert attempts(world, other) == 2


def test_equal_tasks_that_end_at_once_leave_one_result(world: World) -> None:
    runs = [submitted(world), submitted(world)]
    hands = Driver(world=world, programs=dict.fromkeys(runs, program("reusable")))
    hands.run()
    assert [attempts(world, run) for run in runs] == [2, 2]
    assert world.one("SELECT count(*) FROM cached_results") == (2,)
    assert attempts(world, done(world)) == 0


def test_content_that_is_not_known_is_never_reused(world: World) -> None:
    done(world, "trained", parameters={"uri": "s3://bucket/data"})
    again = done(world, "trained", parameters={"uri": "s3://bucket/data"})
    assert attempts(world, again) == 1
    assert world.all(REASONS, id=again)[-1][2] == (
        "its inputs are there; no earlier result is looked for: the content of 'data' is not known"
    )
    first = done(world, "trained", parameters={"uri": DATA})
    assert (attempts(world, first), attempts(world, done(world, "trained", parameters={"uri": DATA}))) == (
        1,
        0,
    )


def test_what_failed_or_was_canceled_leaves_no_result(world: World) -> None:
    run_id = submitted(world)
    hands = Driver(world=world, programs={run_id: program("reusable")}, failures={"add": 9})
    hands.run()
    assert world.all("SELECT 1 FROM cached_results") == []


def test_a_result_whose_report_comes_twice_is_kept_once(world: World) -> None:
    run_id = submitted(world)
    world.recorder.tick()
    key = world.place(run_id, "add")
    heartbeat = world.hear(report(key, "SUCCEEDED", outputs=TaskOutputs(parameters={"Output": 2})))
    kept = world.all("SELECT digest, stored_at, outputs -> 'parameters' FROM cached_results")
    assert [row[2] for row in kept] == [{"Output": 2}]
    world.clock.forward(5)
    world.recorder.on_heartbeat(heartbeat)
    assert world.all("SELECT digest, stored_at, outputs -> 'parameters' FROM cached_results") == kept


KEY = CacheKey(digest="d1", parts={"component": KeyPart(digest="c", shown='"add"')})
OTHER = CacheKey(digest="d2", parts={"component": KeyPart(digest="c"), "code": KeyPart(digest="x")})
OUTPUTS = TaskOutputs(
    parameters={"score": 0.5},
    artifacts={"model": ArtifactRef(name="model", uri="store://file/m", size_bytes=3)},
)
FACTS = DatasetFacts(name="wine", samples=10, features=2, size_bytes=9)


class Filled(Protocol):
    """A library, and how the record behind it comes to know something."""

    @property
    def library(self) -> Library: ...

    def register(self, name: str, uri: str, facts: DatasetFacts) -> None: ...

    def keep(self, component: str, key: CacheKey, outputs: TaskOutputs, *, at: datetime) -> TaskRef: ...


class InMemory:
    def __init__(self) -> None:
        self.library = FakeLibrary()
        self._number = 0

    def register(self, name: str, uri: str, facts: DatasetFacts) -> None:
        self.library.register(name, uri, facts)

    def keep(self, component: str, key: CacheKey, outputs: TaskOutputs, *, at: datetime) -> TaskRef:
        self._number += 1
        ref = TaskRef(run_id=RunId(f"run-{self._number}"), path=TaskPath("a"))
        self.library.keep(component, key, outputs, ref=ref, at=at)
        return ref


class OnRecord:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def library(self) -> RecordLibrary:
        return RecordLibrary(self._connection)

    def register(self, name: str, uri: str, facts: DatasetFacts) -> None:
        row = {"name": name, "uri": uri, "kind": "tabular", "size_bytes": facts.size_bytes, "types": {}}
        row |= {"samples": facts.samples, "features": facts.features, "created_at": NOW, "updated_at": NOW}
        self._connection.execute(insert(schema.datasets).values(row))

    def keep(self, component: str, key: CacheKey, outputs: TaskOutputs, *, at: datetime) -> TaskRef:
        run_id = insert_run(self._connection)
        kept: dict[str, Any] = {"cache": encode(key), "outputs": encode(outputs), "component": component}
        path = insert_task(self._connection, run_id, "a", state=TaskState.SUCCEEDED, **kept)
        ref = TaskRef(run_id=run_id, path=path)
        store_results(self._connection, [ref], at=at)
        return ref


@pytest.fixture(params=["in memory", "on record"])
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    if request.param == "in memory":
        yield InMemory()
        return
    with transaction(request.getfixturevalue("engine")) as connection:
        yield OnRecord(connection)


def test_library_knows_registered_data_sets_only(filled: Filled) -> None:
    filled.register("wine", "store://file/w", FACTS)
    found = filled.library.datasets(["wine", "beer"])
    assert set(found) == {"wine"}
    assert (found["wine"].uri, found["wine"].facts.samples, found["wine"].facts.size_bytes) == (
        "store://file/w",
        10,
        9,
    )
    assert filled.library.datasets([]) == {}


def test_library_finds_a_result_under_its_digest_only(filled: Filled) -> None:
    ref = filled.keep("add", KEY, OUTPUTS, at=NOW)
    found = filled.library.result("d1")
    assert found is not None
    assert (found.ref, found.outputs, found.stored_at) == (ref, OUTPUTS, NOW)
    assert filled.library.result("d2") is None


def test_library_gives_the_latest_of_equal_results(filled: Filled) -> None:
    filled.keep("add", KEY, OUTPUTS, at=NOW)
    later = replace(OUTPUTS, parameters={"score": 0.6})
    ref = filled.keep("add", KEY, later, at=NOW + timedelta(seconds=1))
    found = filled.library.result("d1")
    assert found is not None
    assert (found.ref, found.outputs) == (ref, later)


def test_library_lists_the_keys_of_a_component_latest_first(filled: Filled) -> None:
    filled.keep("add", KEY, OUTPUTS, at=NOW)
    filled.keep("add", OTHER, OUTPUTS, at=NOW + timedelta(seconds=1))
    filled.keep("mul", replace(KEY, digest="d3"), OUTPUTS, at=NOW)
    assert list(filled.library.latest_keys("add")) == [OTHER, KEY]
    filled.keep("add", KEY, OUTPUTS, at=NOW + timedelta(seconds=2))
    assert list(filled.library.latest_keys("add")) == [KEY, OTHER]
    assert list(filled.library.latest_keys("none")) == []


def test_only_the_named_tasks_leave_their_results(engine: Engine) -> None:
    """Of two runs with tasks of the same names, one task each succeeded just now; the others did long ago."""
    kept = {"outputs": encode(OUTPUTS)}
    with transaction(engine) as connection:
        runs = [insert_run(connection), insert_run(connection)]
        for number, run_id in enumerate(runs):
            for path in ("a", "b"):
                key = encode(replace(KEY, digest=f"{number}{path}"))
                insert_task(connection, run_id, path, state=TaskState.SUCCEEDED, cache=key, **kept)
        refs = [TaskRef(run_id=runs[0], path=TaskPath("a")), TaskRef(run_id=runs[1], path=TaskPath("b"))]
        store_results(connection, refs, at=NOW)
        digests = (
            connection.execute(text("SELECT digest FROM cached_results ORDER BY digest")).scalars().all()
        )
    assert digests == ["0a", "1b"]


def test_results_are_shared_within_a_team_only_and_nothing_is_told_of_another(world: World) -> None:
    """An author's own cache key could be guessed by another team; why a lookup missed would tell values of theirs."""
    first = done(world)
    theirs = [done(world, team="a"), done(world, team="b")]
    assert [attempts(world, run_id) for run_id in theirs] == [2, 2]
    said = [sorted(map(str, world.all(REASONS, id=run_id))) for run_id in (first, *theirs)]
    assert said[1] == said[2] == said[0], "as if nobody had run it before"
    assert attempts(world, done(world, team="b")) == 0
