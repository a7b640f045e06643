"""What is done when the time of a schedule has come."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core.model.schedule import Rules, ScheduleReason, Step, Timetable, decide, refused
from nodewise.core.model.trigger import Cron, Interval
from tests.support.examples import examples

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PATIENCE = timedelta(seconds=1)


def hourly(**more: datetime) -> Timetable:
    return Timetable(trigger=Interval(seconds=3600, anchor=NOON), start=NOON, **more)


def look(
    at: datetime,
    *,
    next_at: datetime = NOON,
    catchup: bool = True,
    most: int = 1,
    active: int = 0,
    **more: datetime,
) -> Step:
    rules = Rules(catchup=catchup, max_concurrency=most)
    return decide(hourly(**more), rules, next_at=next_at, active=active, now=at, patience=PATIENCE)


def test_a_time_that_has_come_gets_its_run_and_the_next_one_is_awaited() -> None:
    assert look(NOON) == Step(tick=NOON, next_at=NOON + HOUR, look_at=NOON + HOUR)


def test_with_catch_up_missed_times_get_their_runs_in_order() -> None:
    step = look(NOON + 5 * HOUR)
    assert (step.tick, step.next_at, step.reason) == (NOON, NOON + HOUR, None)


def test_without_catch_up_only_the_latest_of_the_missed_times_gets_its_run() -> None:
    step = look(NOON + 5.5 * HOUR, catchup=False)
    assert (step.tick, step.next_at) == (NOON + 5 * HOUR, NOON + 6 * HOUR)
    assert step.reason is ScheduleReason.MISSED_LEFT_OUT
    assert (
        step.text
        == "of the times from 2026-11-20T12:00:00Z to 2026-11-20T17:00:00Z only the last has its run: no catch-up"
    )


def test_at_the_limit_a_time_is_held_back_with_catch_up() -> None:
    step = look(NOON + HOUR, most=2, active=2)
    assert (step.tick, step.next_at, step.look_at) == (None, NOON, NOON + HOUR + PATIENCE)
    assert step.reason is ScheduleReason.HELD_AT_LIMIT
    assert step.text == "the run of 2026-11-20T12:00:00Z waits: 2 of at most 2 runs under way"


def test_at_the_limit_times_are_left_out_without_catch_up() -> None:
    step = look(NOON + HOUR, active=1, catchup=False)
    assert (step.tick, step.next_at) == (None, NOON + 2 * HOUR)
    assert step.reason is ScheduleReason.LEFT_OUT_AT_LIMIT
    assert (step.text or "").startswith(
        "the runs of 2026-11-20T12:00:00Z to 2026-11-20T13:00:00Z were left out: 1 of at most 1"
    )


def test_the_last_time_before_the_end_is_the_last() -> None:
    step = look(NOON + HOUR, next_at=NOON + HOUR, end=NOON + 1.5 * HOUR)
    assert (step.tick, step.next_at, step.look_at) == (NOON + HOUR, None, None)
    assert step.reason is ScheduleReason.ENDED


def test_a_refused_time_is_tried_again_when_the_next_one_comes() -> None:
    rules = Rules(catchup=True, max_concurrency=1)
    step = refused(hourly(), rules, tick=NOON, why="no such data set", now=NOON + 0.25 * HOUR)
    assert (step.tick, step.next_at, step.look_at) == (None, NOON, NOON + HOUR)
    assert "no such data set" in (step.text or "")


def test_a_refused_time_is_left_out_without_catch_up() -> None:
    rules = Rules(catchup=False, max_concurrency=1)
    step = refused(hourly(), rules, tick=NOON, why="no such data set", now=NOON)
    assert (step.next_at, step.look_at, step.reason) == (NOON + HOUR, NOON + HOUR, ScheduleReason.REFUSED)


def test_a_refused_time_is_tried_again_after_the_end_too() -> None:
    rules = Rules(catchup=True, max_concurrency=1)
    step = refused(hourly(end=NOON), rules, tick=NOON, why="no", now=NOON)
    assert (step.next_at, step.look_at) == (NOON, NOON + HOUR)


def test_start_and_end_are_times_themselves() -> None:
    times = hourly(end=NOON + HOUR)
    assert times.first() == NOON
    assert times.upcoming(NOON - 10 * HOUR, 5) == (NOON, NOON + HOUR)


TIMETABLES = st.sampled_from(
    [
        hourly(),
        hourly(end=NOON + 7 * HOUR),
        Timetable(trigger=Cron(expression="*/20 8-10 * * *", time_zone="Europe/Berlin"), start=NOON),
        Timetable(trigger=Cron(expression="0 0 1,15 * *"), start=NOON, end=NOON + 40 * 24 * HOUR),
    ]
)


@settings(max_examples=examples(60))
@given(times=TIMETABLES, hours=st.floats(0, 24 * 30))
def test_the_latest_time_equals_a_walk_through_all(times: Timetable, hours: float) -> None:
    now = NOON + timedelta(hours=hours)
    passed = [at for at in times.upcoming(NOON - HOUR, 800) if at <= now]
    if passed:
        assert times.latest(passed[0], now) == passed[-1]


@settings(max_examples=examples(60))
@given(
    times=TIMETABLES,
    catchup=st.booleans(),
    waits=st.lists(st.floats(0, 30), min_size=1, max_size=12),
    busy=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_no_time_gets_two_runs_and_with_catch_up_none_is_skipped(
    times: Timetable, catchup: bool, waits: list[float], busy: list[bool]
) -> None:
    rules = Rules(catchup=catchup, max_concurrency=1)
    next_at, look_at, now, made = times.first(), times.first(), NOON, list[datetime]()
    for wait, held in zip(waits, busy, strict=False):
        now += timedelta(hours=wait)
        while next_at is not None and look_at is not None and look_at <= now:
            step = decide(times, rules, next_at=next_at, active=int(held), now=now, patience=PATIENCE)
            assert step.next_at is None or step.next_at >= next_at
            made += [step.tick] if step.tick else []
            next_at, look_at = step.next_at, step.look_at
    everything = [at for at in times.upcoming(NOON - HOUR, 500) if at <= now]
    assert made == sorted(set(made))
    assert set(made) <= set(everything)
    if catchup:
        assert made == everything[: len(made)]
