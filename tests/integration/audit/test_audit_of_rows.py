"""Faults planted in the rows of real runs are found, each by its check; nothing is found before."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from nodewise.core.audit import Allowance, Check
from nodewise.core.db import audits
from nodewise.core.db.audits import Audit, Scope, audit
from nodewise.core.model.ids import AttemptKey, RunId
from tests.support.recording import TASK_SIZE, World, report

EVER = datetime(2000, 1, 1, tzinfo=UTC)
EXACT = Allowance(clocks=timedelta(0))


@pytest.fixture
def world(engine: Engine) -> World:
    world = World(engine)
    world.hear()
    return world


def ended(world: World, key: AttemptKey, state: str = "SUCCEEDED") -> None:
    world.clock.forward(1)
    started = world.clock.now
    world.hear(report(key, "RUNNING", started_at=started))
    world.clock.forward(1)
    world.hear(report(key, state, started_at=started, finished_at=world.clock.now))


@pytest.fixture
def runs(world: World) -> list[RunId]:
    """Two runs of `load` and then `fit`: one is done, the other's `fit` runs, in its second attempt."""
    made = []
    for number in range(2):
        run_id = world.submit({"load": (), "fit": ("load",)})
        world.recorder.tick()
        ended(world, world.place(run_id, "load"))
        fit = world.place(run_id, "fit")
        if number == 0:
            ended(world, fit)
        else:
            world.clock.forward(1)
            world.hear(report(fit, "RUNNING", started_at=world.clock.now))
            world.clock.forward(1)
            world.hear(boot="boot-2")
            again = world.place(run_id, "fit")
            world.hear(report(again, "RUNNING", started_at=world.clock.now), boot="boot-2")
        made.append(run_id)
    return made


def audited(world: World, **scope: object) -> Audit:
    wanted = {"since": EVER, "limit": 100, **scope}
    return audit(world.engine, Scope(**wanted), now=world.clock.now, allowance=EXACT)  # type: ignore[arg-type]


def test_real_runs_are_in_order_and_all_of_them_is_looked_at(world: World, runs: list[RunId]) -> None:
    found = audited(world)
    assert found.findings == []
    assert (found.runs, found.tasks, found.attempts, found.bookings, found.nodes) == (2, 4, 5, 5, 1)
    (events,) = world.one("SELECT count(*) FROM events")
    assert found.events == events


DONE, OPEN = "(SELECT min(id::text)::uuid FROM runs WHERE state = 'SUCCEEDED')", (
    "(SELECT id FROM runs WHERE state = 'RUNNING')"
)  # fmt: skip
PLANTED = {
    "a lost end of a run": (
        f"UPDATE tasks SET state = 'WAITING' WHERE run_id = {DONE} AND path = 'fit'",
        Check.REACHES_AN_END,
    ),
    "a task that nobody moves": (
        f"UPDATE tasks SET state = 'WAITING' WHERE run_id = {OPEN} AND path = 'fit'",
        Check.REACHES_AN_END,
    ),
    "a second good end": (
        f"UPDATE attempts SET state = 'SUCCEEDED' WHERE run_id = {OPEN} AND state = 'LOST'",
        Check.COUNTED_ONCE,
    ),
    "a good end told twice": (
        "INSERT INTO events (run_id, path, attempt, event, from_state, to_state, service) "
        f"VALUES ({DONE}, 'fit', 1, 'succeed', 'RUNNING', 'SUCCEEDED', 'recorder')",
        Check.COUNTED_ONCE,
    ),
    "outputs of what never ended": (
        f"UPDATE tasks SET outputs = '{{}}' WHERE run_id = {OPEN} AND path = 'fit'",
        Check.COUNTED_ONCE,
    ),
    "a state that nobody wrote down": (
        f"DELETE FROM events WHERE run_id = {DONE} AND path = 'load' AND event = 'start'",
        Check.KNOWN_TRANSITIONS,
    ),
    "a step of another service": (
        f"UPDATE events SET service = 'placer' WHERE run_id = {DONE} AND event = 'start' AND path = 'load'",
        Check.KNOWN_TRANSITIONS,
    ),
    "a booking from when the node was full": (
        "INSERT INTO bookings (run_id, path, attempt, node, millicores, memory_mib, gpus, booked_at, released_at) "
        "SELECT run_id, path, 9, node, 4000, 10, 0, booked_at, booked_at + interval '1 ms' FROM bookings "
        f"WHERE run_id = {DONE} AND path = 'fit'",
        Check.WITHIN_CAPACITY,
    ),
    "a start before the inputs": (
        "UPDATE attempts SET started_at = started_at - interval '3 s' "
        f"WHERE run_id = {DONE} AND path = 'fit'",
        Check.INPUTS_FIRST,
    ),
    "room that was never given back": (
        f"UPDATE bookings SET released_at = NULL WHERE run_id = {DONE} AND path = 'fit'",
        Check.BOOKED_AS_LIVE,
    ),
    "room that was given back too early": (
        f"UPDATE bookings SET released_at = booked_at WHERE run_id = {OPEN} AND released_at IS NULL",
        Check.BOOKED_AS_LIVE,
    ),
    "a sum that is not one": (
        "UPDATE node_loads SET booked_millicores = booked_millicores + 1",
        Check.BOOKED_AS_LIVE,
    ),
}  # fmt: skip


@pytest.fixture
def trusting(engine: Engine) -> Engine:
    """The database without what keeps such rows out: the checks must find what a constraint would have refused."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE bookings DROP CONSTRAINT bookings_run_id_fkey"))
    return engine


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(world: World, runs: list[RunId], trusting: Engine, fault: str) -> None:
    statement, check = PLANTED[fault]
    with trusting.begin() as connection:
        assert connection.execute(text(statement)).rowcount == 1
    world.clock.forward(600)
    assert check in {finding.check for finding in audited(world).findings}


def test_runs_come_in_pages_and_nodes_with_the_first(world: World, runs: list[RunId]) -> None:
    first = audited(world, limit=1)
    assert (first.runs, first.nodes, first.bookings) == (1, 1, 5)
    assert first.behind is not None
    second = audited(world, limit=1, after=first.behind)
    assert (second.runs, second.nodes, second.bookings, second.behind) == (1, 0, 0, None)
    assert first.tasks + second.tasks == 4
    assert audited(world, after=first.behind).runs == 1


def test_what_was_submitted_before_is_left_out(world: World, runs: list[RunId]) -> None:
    (latest,) = world.one("SELECT max(submitted_at) FROM runs")
    assert audited(world, since=latest).runs == 1


def test_runs_are_read_a_few_at_a_time(
    world: World, runs: list[RunId], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    reading = audits.run_records
    monkeypatch.setattr(audits, "_TASKS_AT_A_TIME", 3)
    monkeypatch.setattr(audits, "run_records", lambda c, ids: read.append(len(ids)) or reading(c, ids))
    assert audited(world).runs == 2
    assert read == [1, 1]


def test_room_is_measured_across_runs(world: World, runs: list[RunId], trusting: Engine) -> None:
    """Each booking alone fits; that of the open run and a planted one together do not."""
    with trusting.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO bookings (run_id, path, attempt, node, millicores, memory_mib, gpus) "
                f"VALUES ({DONE}, 'fit', 9, 'n1', {4000 - TASK_SIZE.millicores + 1}, 0, 0)"
            )
        )
    above = [f for f in audited(world).findings if f.check is Check.WITHIN_CAPACITY]
    assert [(f.path, f.attempt, f.node) for f in above] == [("fit", 9, "n1")]
