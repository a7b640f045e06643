from sqlalchemy import Engine, text

from nodewise.core.db.engine import transaction
from nodewise.core.db.queries.queue import try_lock_cycle
from nodewise.core.lifecycle import TaskState
from nodewise.core.messages import WAKE_PLACER
from nodewise.core.model.quota import Quota
from nodewise.core.model.resources import Resources
from nodewise.core.settings import Settings
from tests.support.placing import Turned, add_nodes, all_rows, make_scheduler, submit
from tests.support.rows import NOW

STATES = "SELECT path, state, reason_code FROM tasks ORDER BY path"
HALF = Resources(millicores=500, memory_mib=10)


def test_admits_what_fits_in_order_and_says_why_the_rest_waits(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "c", resources=HALF, submitted_at=NOW.replace(hour=3))
        submit(connection, "a", resources=HALF, submitted_at=NOW.replace(hour=1))
        submit(connection, "b", resources=HALF, submitted_at=NOW.replace(hour=2))
        submit(connection, "huge", resources=Resources(millicores=9000))
    make_scheduler(engine, settings).look()
    assert all_rows(engine, STATES) == [
        ("a", "ADMITTED", "admitted"),
        ("b", "ADMITTED", "admitted"),
        ("c", "READY", "no_room"),
        ("huge", "READY", "unsatisfiable"),
    ]
    ordered = all_rows(engine, "SELECT path FROM tasks WHERE state = 'ADMITTED' ORDER BY position")
    assert ordered == [("a",), ("b",)]


def test_a_team_is_held_at_its_quota_by_what_runs_and_what_is_on_its_way(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=4)
    with transaction(engine) as connection:
        submit(connection, "a", "b", resources=HALF, team="vision", submitted_at=NOW.replace(hour=1))
        submit(connection, "c", resources=HALF, team="vision", submitted_at=NOW.replace(hour=2))
        submit(connection, "d", resources=HALF, team="speech", submitted_at=NOW.replace(hour=3))
    bounded = settings.model_copy(update={"team_quotas": {"vision": Quota(cores=1)}})
    scheduler = make_scheduler(engine, bounded)
    for _ in range(2):
        scheduler.look()
        assert all_rows(engine, STATES) == [
            ("a", "ADMITTED", "admitted"),
            ("b", "ADMITTED", "admitted"),
            ("c", "READY", "team_quota"),
            ("d", "ADMITTED", "admitted"),
        ]
    make_scheduler(engine, settings).look()
    assert all_rows(engine, STATES)[2] == ("c", "ADMITTED", "admitted")


def test_a_second_look_changes_nothing(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a", "b", "c", resources=HALF)
    scheduler = make_scheduler(engine, settings)
    query = "SELECT path, state, reason, position, xmin::text FROM tasks ORDER BY path"
    scheduler.look()
    first = all_rows(engine, query)
    scheduler.look()
    make_scheduler(engine, settings).look()
    assert all_rows(engine, query) == first
    assert all_rows(engine, "SELECT count(*) FROM events WHERE event = 'admit'") == [(2,)]


def test_positions_go_on_where_the_last_cycle_ended(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=2)
    scheduler = make_scheduler(engine, settings)
    for path in ("first", "second"):
        with transaction(engine) as connection:
            submit(connection, path, resources=HALF)
        scheduler.look()
    assert all_rows(engine, "SELECT path, position FROM tasks ORDER BY position") == [
        ("first", 1),
        ("second", 2),
    ]


def test_runs_that_are_being_cancelled_are_left_alone(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a", cancel_requested_at=NOW)
    make_scheduler(engine, settings).look()
    assert all_rows(engine, STATES) == [("a", "READY", None)]


def test_a_task_in_back_off_waits_for_its_time(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    clock = Turned(NOW)
    with transaction(engine) as connection:
        submit(connection, "a", task={"not_before": NOW.replace(minute=1)})
    scheduler = make_scheduler(engine, settings, clock=clock)
    scheduler.look()
    assert all_rows(engine, STATES) == [("a", "READY", "retry_backoff")]
    clock.forward(60)
    scheduler.look()
    assert all_rows(engine, STATES) == [("a", "ADMITTED", "admitted")]


def test_only_one_cycle_is_active_at_a_time(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a")
    scheduler = make_scheduler(engine, settings)
    with transaction(engine) as other:
        assert try_lock_cycle(other)
        scheduler.look()
        assert all_rows(engine, STATES) == [("a", "READY", None)]
    scheduler.look()
    assert all_rows(engine, STATES) == [("a", "ADMITTED", "admitted")]


def test_a_task_that_somebody_moves_just_now_is_left_for_the_next_look(
    engine: Engine, settings: Settings
) -> None:
    add_nodes(engine, n1=2)
    with transaction(engine) as connection:
        submit(connection, "held", "free", resources=HALF)
    scheduler = make_scheduler(engine, settings)
    with transaction(engine) as other:
        other.execute(text("SELECT FROM tasks WHERE path = 'held' FOR UPDATE"))
        scheduler.look()
    assert all_rows(engine, STATES) == [("free", "ADMITTED", "admitted"), ("held", "READY", None)]
    scheduler.look()
    assert [row[1] for row in all_rows(engine, STATES)] == ["ADMITTED", "ADMITTED"]


def test_placers_are_woken_once_for_many_admissions(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=2)
    with transaction(engine) as connection:
        submit(connection, "a", "b", resources=HALF)
    scheduler = make_scheduler(engine, settings)
    scheduler.look()
    scheduler.look()
    assert scheduler.loader.redis.llen(WAKE_PLACER) == 1


def test_admission_goes_on_without_redis(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=1)
    with transaction(engine) as connection:
        submit(connection, "a")
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    make_scheduler(engine, away).look()
    assert all_rows(engine, STATES) == [("a", "ADMITTED", "admitted")]


def test_what_is_admitted_is_bounded(engine: Engine, settings: Settings) -> None:
    add_nodes(engine, n1=64)
    with transaction(engine) as connection:
        submit(connection, *(f"t{index:02}" for index in range(12)))
    small = settings.model_copy(update={"placement_batch": 2})
    make_scheduler(engine, small).look()
    counted = all_rows(engine, "SELECT reason_code, count(*) FROM tasks GROUP BY 1 ORDER BY 1")
    assert counted == [("admitted", 8), ("queued", 4)]
    assert all_rows(engine, "SELECT count(*) FROM tasks WHERE state = :s", s=TaskState.ADMITTED.value) == [
        (8,)
    ]
