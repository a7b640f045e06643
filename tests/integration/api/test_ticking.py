"""The loop that makes recurring runs: each time gets one run, whatever is killed, doubled, late or in the way."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from nodewise.api.scheduling import ticker
from nodewise.api.scheduling.ticker import Ticker
from nodewise.core.db.engine import create_database, transaction
from nodewise.core.messages import WAKE_SCHEDULER
from nodewise.core.settings import Settings
from tests.support.pipelines import compiled, hints
from tests.support.rows import insert_run
from tests.support.scheduling import HOUR, NOON, Desk, Killed, a_desk

DAY = timedelta(days=1)


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    with a_desk(settings) as desk:
        yield desk


def hours(*numbers: float) -> list[datetime]:
    return [NOON + number * HOUR for number in numbers]


def test_nothing_happens_before_its_time(desk: Desk) -> None:
    desk.add()
    desk.look()
    assert desk.times() == []


def test_a_time_that_has_come_gets_one_run_however_often_one_looks(desk: Desk) -> None:
    schedule_id = desk.add(name="hourly")
    for _ in range(3):
        desk.look(ahead=10 * HOUR / 60)
    assert desk.times() == [NOON]
    shown = desk.show(schedule_id)
    assert (shown["last_at"], shown["next_at"]) == ("2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z")
    assert (shown["active_runs"], shown["reason"]) == (1, None)


def test_the_run_is_what_a_submission_would_be(desk: Desk) -> None:
    run = {"parameters": {"depth": 4}, "team": "blue", "priority": 7, "labels": {"wave": "1"}, "cache": False}
    spec = compiled(parameters={"depth": {"parameterType": "NUMBER_INTEGER"}})
    schedule_id = desk.add(name="nightly", run={"pipeline_spec": spec, **run})
    desk.look(ahead=HOUR)
    (made,) = desk.http.get("/v1/runs", params={"schedule": schedule_id}).json()["items"]
    assert made["name"] == "nightly 2026-11-20T12:00:00Z"
    assert {key: made[key] for key in ("parameters", "team", "priority", "labels")} == {
        key: run[key] for key in ("parameters", "team", "priority", "labels")
    }
    assert made["scheduled_for"] == "2026-11-20T12:00:00Z"
    assert made["submitted_at"] == "2026-11-20T12:30:00Z"
    assert made["tasks"] == {"total": 3, "by_state": {"WAITING": 2, "READY": 1}}
    with transaction(desk.engine) as connection:
        assert connection.execute(text("SELECT caching FROM runs")).scalars().all() == [False]


def test_a_new_run_wakes_the_scheduler(desk: Desk) -> None:
    desk.add()
    desk.look(ahead=HOUR)
    assert desk.services.redis.exists(WAKE_SCHEDULER)


def test_placeholders_say_the_scheduled_time(desk: Desk) -> None:
    spec = compiled(tasks={"first": ()})
    spec["components"]["comp-first"]["inputDefinitions"] = {
        "parameters": {"when": {"parameterType": "STRING"}}
    }
    spec["root"]["dag"]["tasks"]["first"]["inputs"] = {
        "parameters": {"when": {"runtimeValue": {"constant": "{{$.pipeline_job_schedule_time_utc}}"}}}
    }
    desk.add(run={"pipeline_spec": spec})
    desk.look(ahead=HOUR)
    with transaction(desk.engine) as connection:
        (inputs,) = connection.execute(text("SELECT inputs FROM tasks")).scalars()
    assert inputs["parameters"] == {"when": "2026-11-20T12:00:00+00:00"}


def test_a_look_that_is_killed_anywhere_leaves_all_or_nothing_and_the_next_one_makes_the_run(
    desk: Desk,
) -> None:
    desk.add(max_concurrency=100)
    desk.clock.now = NOON
    statement = 0
    while True:
        statement += 1
        runs = desk.count("runs")
        try:
            with desk.killed_before(statement) as seen:
                Ticker(desk.services).look()
        except Killed:
            assert desk.count("runs") in (runs, runs + 1)
            assert desk.count("tasks") == 3 * desk.count("runs")
            desk.look()
            desk.clock.now += HOUR
            continue
        assert len(seen) == statement - 1
        break
    assert statement > 6, "the writes of a run were among what was killed"
    assert desk.times() == hours(*range(statement))
    assert (desk.count("runs"), desk.count("tasks")) == (statement, 3 * statement)


def test_a_look_that_is_killed_after_its_commit_has_made_the_run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: str) -> None:
        raise Killed

    desk.add()
    desk.clock.now = NOON
    monkeypatch.setattr(desk.services.waker, "wake", die)
    with pytest.raises(Killed):
        Ticker(desk.services).look()
    monkeypatch.undo()
    desk.look()
    assert desk.times() == [NOON]


def test_several_processes_share_the_work_and_double_nothing(desk: Desk, settings: Settings) -> None:
    ids = [desk.add(name=f"s{number}", max_concurrency=50) for number in range(6)]
    desk.clock.now = NOON + 4 * HOUR
    start = threading.Barrier(3)
    errors: list[Exception] = []

    def process() -> None:
        services = replace(desk.services, engine=create_database(settings, name="another"))
        start.wait()
        try:
            while Ticker(services).look():
                pass
        except Exception as error:
            errors.append(error)
        finally:
            services.engine.dispose()

    threads = [threading.Thread(target=process) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    desk.look()
    assert errors == []
    assert {schedule_id: desk.times(schedule_id) for schedule_id in ids} == {
        schedule_id: hours(0, 1, 2, 3, 4) for schedule_id in ids
    }


def test_what_another_process_holds_is_passed_over(desk: Desk) -> None:
    held, free = desk.add(name="held"), desk.add(name="free")
    with transaction(desk.engine) as connection:
        connection.execute(text("SELECT FROM schedules WHERE id = :id FOR UPDATE"), {"id": held})
        desk.look(ahead=HOUR)
        assert (desk.times(held), desk.times(free)) == ([], [NOON])
    desk.look()
    assert desk.times(held) == [NOON]


def test_a_time_that_is_looked_at_twice_in_spite_of_all_has_one_run(desk: Desk) -> None:
    schedule_id = desk.add()
    desk.look(ahead=HOUR)
    with transaction(desk.engine) as connection:
        back = "UPDATE schedules SET next_at = start_at, look_at = start_at, last_at = NULL"
        connection.execute(text(back))
    desk.end_runs()
    desk.look()
    assert desk.times() == [NOON]
    assert desk.show(schedule_id)["next_at"] == "2026-11-20T13:00:00Z"


def test_the_schema_allows_one_run_a_time(desk: Desk) -> None:
    schedule_id = desk.add()
    with transaction(desk.engine) as connection:
        insert_run(connection, schedule_id=schedule_id, scheduled_for=NOON)
    with (
        pytest.raises(IntegrityError, match="one_per_scheduled_time"),
        transaction(desk.engine) as connection,
    ):
        insert_run(connection, schedule_id=schedule_id, scheduled_for=NOON)
    with (
        pytest.raises(IntegrityError, match="scheduled_by_a_schedule"),
        transaction(desk.engine) as connection,
    ):
        insert_run(connection, scheduled_for=NOON)


def test_after_an_outage_of_a_day_all_missed_times_get_their_runs(desk: Desk) -> None:
    desk.add(max_concurrency=100)
    desk.look(ahead=HOUR + DAY)
    assert desk.times() == hours(*range(25))


def test_after_an_outage_of_a_day_only_the_latest_time_gets_its_run_without_catch_up(desk: Desk) -> None:
    schedule_id = desk.add(catchup=False, max_concurrency=100)
    desk.look(ahead=HOUR + DAY)
    assert desk.times() == hours(24)
    shown = desk.show(schedule_id)
    assert (shown["reason_code"], shown["next_at"]) == ("missed_left_out", "2026-11-21T13:00:00Z")
    desk.look(ahead=HOUR)
    assert desk.times() == hours(24, 25)
    assert desk.show(schedule_id)["reason"] is None


def test_a_start_in_the_past_is_caught_up_with(desk: Desk) -> None:
    desk.add(start_at=(NOON - 3 * HOUR).isoformat(), max_concurrency=9)
    desk.look()
    assert desk.times() == hours(-3, -2, -1)


def test_missed_times_wait_while_as_many_runs_as_may_are_under_way(desk: Desk) -> None:
    schedule_id = desk.add(max_concurrency=2)
    desk.look(ahead=3 * HOUR)
    assert desk.times() == hours(0, 1)
    shown = desk.show(schedule_id)
    assert (shown["reason_code"], shown["active_runs"]) == ("held_at_limit", 2)
    assert shown["reason"] == "the run of 2026-11-20T14:00:00Z waits: 2 of at most 2 runs under way"
    desk.end_runs(most=1)
    desk.look(ahead=timedelta(seconds=1))
    assert desk.times() == hours(0, 1, 2)
    assert desk.show(schedule_id)["reason"] is None


def test_one_schedule_that_is_held_back_holds_up_no_other(desk: Desk) -> None:
    for number in range(3):
        desk.add(name=f"held{number}")
    desk.look(ahead=3 * HOUR)
    free = desk.add(name="free", max_concurrency=9, start_at=(NOON + HOUR).isoformat())
    desk.look()
    assert desk.times(free) == hours(1, 2)


def test_times_are_left_out_without_catch_up_while_too_many_runs_are_under_way(desk: Desk) -> None:
    schedule_id = desk.add(catchup=False)
    for _ in range(3):
        desk.look(ahead=HOUR)
    assert desk.times() == [NOON]
    shown = desk.show(schedule_id)
    assert shown["reason_code"] == "left_out_at_limit"
    assert shown["reason"].startswith("the run of 2026-11-20T14:00:00Z was left out: 1 of at most 1 runs")
    desk.end_runs()
    desk.look(ahead=HOUR)
    assert desk.times() == hours(0, 3)


def test_a_run_that_was_asked_for_at_once_counts_but_is_not_held_back(desk: Desk) -> None:
    schedule_id = desk.add()
    desk.ask(schedule_id, "run")
    desk.look(ahead=HOUR)
    assert desk.show(schedule_id)["reason_code"] == "held_at_limit"
    desk.ask(schedule_id, "run")
    assert desk.show(schedule_id)["active_runs"] == 2


def test_a_disabled_schedule_makes_no_runs_and_catches_up_when_it_is_enabled(desk: Desk) -> None:
    every, latest = desk.add(name="every", max_concurrency=9), desk.add(name="latest", catchup=False)
    for schedule_id in (every, latest):
        desk.ask(schedule_id, "disable")
    desk.look(ahead=3 * HOUR)
    assert desk.times() == []
    for schedule_id in (every, latest):
        desk.ask(schedule_id, "enable")
    desk.look()
    assert (desk.times(every), desk.times(latest)) == (hours(0, 1, 2), hours(2))


def test_a_deleted_schedule_makes_no_more_runs_and_its_runs_go_on(desk: Desk) -> None:
    schedule_id = desk.add(max_concurrency=9)
    desk.look(ahead=HOUR)
    assert desk.http.delete(f"/v1/schedules/{schedule_id}").status_code == 204
    desk.look(ahead=DAY)
    assert desk.times(schedule_id) == [NOON]
    (run,) = desk.http.get("/v1/runs", params={"schedule": schedule_id}).json()["items"]
    assert (run["state"], run["tasks"]["by_state"]["READY"]) == ("PENDING", 1)


def test_nothing_comes_after_the_end(desk: Desk) -> None:
    schedule_id = desk.add(end_at=(NOON + HOUR).isoformat(), max_concurrency=9)
    desk.look(ahead=DAY)
    assert desk.times() == hours(0, 1)
    shown = desk.show(schedule_id)
    assert (shown["next_at"], shown["upcoming"], shown["reason_code"]) == (None, [], "ended")
    desk.ask(schedule_id, "disable")
    desk.ask(schedule_id, "enable")
    desk.look(ahead=DAY)
    assert desk.times() == hours(0, 1)


def test_cron_follows_the_clock_of_its_zone_when_that_is_changed(settings: Settings) -> None:
    with a_desk(settings, now=datetime(2026, 10, 23, 12, tzinfo=UTC)) as desk:
        desk.add(cron="30 2 * * *", time_zone="Europe/Berlin", max_concurrency=9)
        desk.look(ahead=3 * DAY)
        assert [time.isoformat() for time in desk.times()] == [
            "2026-10-24T00:30:00+00:00",
            "2026-10-25T00:30:00+00:00",
            "2026-10-26T01:30:00+00:00",
        ]


def test_a_schedule_survives_the_restart_of_everything(settings: Settings) -> None:
    with a_desk(settings) as before:
        schedule_id = before.add(max_concurrency=9)
        before.look(ahead=HOUR)
    with a_desk(settings, now=NOON + 2.5 * HOUR) as after:
        after.look()
        assert after.times(schedule_id) == hours(0, 1, 2)


def _with_data_set(desk: Desk, **fields: Any) -> str:
    _register(desk)
    platform_spec = hints(train={"dataset": {"name": "wine"}})
    schedule_id = desk.add(run={"platform_spec": platform_spec}, max_concurrency=9, **fields)
    with transaction(desk.engine) as connection:
        connection.execute(text("DELETE FROM datasets"))
    return schedule_id


def _register(desk: Desk) -> None:
    assert desk.http.put("/v1/datasets/wine", content=b"a,b\n1,2\n").is_success


def test_a_refused_run_is_told_and_tried_again_at_the_next_time_not_before(desk: Desk) -> None:
    schedule_id = _with_data_set(desk)
    for minutes in (30, 1, 20):
        desk.look(ahead=timedelta(minutes=minutes))
    shown = desk.show(schedule_id)
    assert (shown["refusals"], shown["reason_code"]) == (1, "refused")
    assert shown["last_error_at"] == "2026-11-20T12:00:00Z"
    assert "no data set named 'wine' is registered" in shown["last_error"]
    _register(desk)
    desk.look(ahead=HOUR / 2)
    assert desk.times() == []
    desk.look(ahead=HOUR / 2)
    assert desk.times() == hours(0, 1)
    shown = desk.show(schedule_id)
    assert (shown["refusals"], shown["reason"]) == (0, None)
    assert "no data set" in shown["last_error"]


def test_a_refused_run_is_left_out_without_catch_up(desk: Desk) -> None:
    schedule_id = _with_data_set(desk, catchup=False)
    desk.look(ahead=HOUR)
    desk.look(ahead=HOUR)
    assert desk.show(schedule_id)["refusals"] == 2
    _register(desk)
    desk.look(ahead=HOUR)
    assert desk.times() == hours(2)


def test_one_schedule_that_fails_unforeseen_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = desk.add(name="bad"), desk.add(name="good")
    accept = ticker.accept

    def failing(connection: Any, submission: Any, *rest: Any, **more: Any) -> Any:
        if submission.origin.schedule_id == bad:
            raise RuntimeError("out of luck")
        return accept(connection, submission, *rest, **more)

    monkeypatch.setattr(ticker, "accept", failing)
    desk.look(ahead=HOUR)
    assert (desk.times(bad), desk.times(good)) == ([], [NOON])
    shown = desk.show(bad)
    assert (shown["last_error"], shown["refusals"]) == ("an unexpected error: RuntimeError", 1)
    assert shown["next_at"] == "2026-11-20T12:00:00Z"


def test_a_schedule_that_cannot_be_read_any_more_says_so_and_is_kept(desk: Desk) -> None:
    schedule_id = desk.add(cron="@daily", time_zone="Europe/Berlin")
    with transaction(desk.engine) as connection:
        connection.execute(text("UPDATE schedules SET time_zone = 'Europe/Gone'"))
    desk.look(ahead=DAY)
    desk.look()
    shown = desk.show(schedule_id)
    assert (shown["refusals"], shown["reason_code"]) == (1, "refused")
    assert "Europe/Gone" in shown["last_error"]
    assert shown["upcoming"] == [shown["next_at"]]
