"""When something recurs: held against a walk through every minute, in zones whose clocks jump in every way there is."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodewise.core.errors import InvalidTrigger
from nodewise.core.model.trigger import LONGEST_INTERVAL_SECONDS, Cron, Interval
from tests.support.examples import examples

MINUTE = timedelta(minutes=1)
HOURS = 9
BEFORE_JUMPS = [
    ("Europe/Berlin", datetime(2026, 3, 28, 20, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 20, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    # Midnight itself is skipped, or comes twice.
    ("America/Sao_Paulo", datetime(2018, 11, 3, 20, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 2, 17, 20, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2025, 4, 24, 15, tzinfo=UTC)),
    # Half an hour, two hours, a whole day; and winter time that is the exception.
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 5, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 5, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 28, 20, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 10, 24, 20, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 6, tzinfo=UTC)),
    ("Europe/Dublin", datetime(2026, 10, 24, 20, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 6, 1, tzinfo=UTC)),
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def times(trigger: Cron | Interval, start: datetime, count: int) -> list[datetime]:
    found = [start]
    for _ in range(count):
        following = trigger.after(found[-1])
        assert following is not None
        found.append(following)
    return found[1:]


def local(cron: Cron, start: datetime, count: int) -> list[str]:
    zone = ZoneInfo(cron.time_zone)
    return [moment.astimezone(zone).isoformat(timespec="minutes") for moment in times(cron, start, count)]


def values(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field of a cron expression, and what it means."""
    whole = frozenset(range(low, high + 1))
    steps = st.integers(2, 30).map(lambda n: (f"*/{n}", frozenset(range(low, high + 1, n))))
    lists = st.sets(st.integers(low, high), min_size=1, max_size=4).map(
        lambda some: (",".join(map(str, sorted(some))), frozenset(some))
    )
    ends = st.sets(st.integers(low, high), min_size=2, max_size=2).map(sorted)
    ranges = ends.map(lambda two: (f"{two[0]}-{two[1]}", frozenset(range(two[0], two[1] + 1))))
    return st.one_of(st.just(("*", whole)), steps, lists, ranges)


def walked(
    minutes: frozenset[int], hours: frozenset[int], zone: ZoneInfo, start: datetime
) -> Iterator[datetime]:
    """The same times, by looking at the clock every minute, and noting what it has shown so far."""
    naive = start.astimezone(zone).replace(tzinfo=None)
    shown, moment = naive, start
    for _ in range(HOURS * 60):
        moment += MINUTE
        clock = moment.astimezone(zone).replace(tzinfo=None)
        if len(hours) == 24:
            matches = clock.minute in minutes
        else:
            new = [shown + n * MINUTE for n in range(1, (clock - shown) // MINUTE + 1)]
            matches = any(one.minute in minutes and one.hour in hours for one in new)
        shown = max(shown, clock)
        if matches:
            yield moment


@settings(max_examples=examples(100))
@given(
    place=st.sampled_from(BEFORE_JUMPS),
    ahead=st.integers(0, 4 * 60),
    minute=values(0, 59),
    hour=values(0, 23),
)
def test_cron_equals_a_walk_through_every_minute(
    place: tuple[str, datetime],
    ahead: int,
    minute: tuple[str, frozenset[int]],
    hour: tuple[str, frozenset[int]],
) -> None:
    name, start = place
    start += ahead * MINUTE
    cron = Cron(expression=f"{minute[0]} {hour[0]} * * *", time_zone=name)
    expected = list(walked(minute[1], hour[1], ZoneInfo(name), start))
    assert times(cron, start, len(expected)) == expected
    following = cron.after(expected[-1] if expected else start)
    assert following is None or following > start + timedelta(hours=HOURS)


@settings(max_examples=examples(60))
@given(
    place=st.sampled_from(BEFORE_JUMPS),
    moments=st.lists(st.integers(0, HOURS * 3600), min_size=2, max_size=8),
    expression=st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 */2 * * *", "15 10 3 * * *", "0 0 1 * 1"]),
)
def test_the_next_time_never_goes_back_as_time_goes_on(
    place: tuple[str, datetime], moments: Sequence[int], expression: str
) -> None:
    cron = Cron(expression=expression, time_zone=place[0])
    asked = [place[1] + timedelta(seconds=n) for n in sorted(moments)]
    found = [cron.after(moment) for moment in asked]
    assert all(one is not None and one > moment for one, moment in zip(found, asked, strict=True))
    assert found == sorted(found)  # type: ignore[type-var]


def test_a_time_that_does_not_exist_is_the_first_instant_after_the_gap() -> None:
    cron = Cron(expression="30 2 * * *", time_zone="Europe/Berlin")
    assert local(cron, at("2026-03-28T12:00Z"), 2) == ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]


def test_many_times_that_do_not_exist_are_one() -> None:
    cron = Cron(expression="*/10 2,3 * * *", time_zone="Europe/Berlin")
    assert local(cron, at("2026-03-28T12:00Z"), 2) == ["2026-03-29T03:00+02:00", "2026-03-29T03:10+02:00"]


def test_a_time_that_exists_twice_counts_once() -> None:
    cron = Cron(expression="30 2 * * *", time_zone="Europe/Berlin")
    assert local(cron, at("2026-10-24T12:00Z"), 2) == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]


def test_what_recurs_every_hour_follows_real_time() -> None:
    cron = Cron(expression="30 * * * *", time_zone="Europe/Berlin")
    assert local(cron, at("2026-10-24T23:00Z"), 4) == [
        "2026-10-25T01:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:30+01:00",
    ]
    assert local(cron, at("2026-03-29T00:00Z"), 2) == ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"]


def test_six_fields_begin_with_the_seconds() -> None:
    cron = Cron(expression="15 0/30 9 ? * MON-FRI")
    assert times(cron, at("2026-11-20T09:00:15Z"), 2) == [
        at("2026-11-20T09:30:15Z"),
        at("2026-11-23T09:00:15Z"),
    ]


def test_days_of_month_and_of_week_are_united() -> None:
    cron = Cron(expression="0 0 13 * 5")
    assert times(cron, at("2026-11-01T00:00Z"), 3) == [
        at("2026-11-06T00:00Z"),
        at("2026-11-13T00:00Z"),
        at("2026-11-20T00:00Z"),
    ]


def test_aliases_are_known() -> None:
    assert Cron(expression="@daily").after(at("2026-11-20T09:00Z")) == at("2026-11-21T00:00Z")


def test_a_leap_day_comes_and_the_thirtieth_of_february_never_does() -> None:
    assert Cron(expression="0 0 29 2 *").after(at("2026-01-01T00:00Z")) == at("2028-02-29T00:00Z")
    assert Cron(expression="0 0 30 2 *").after(at("2026-01-01T00:00Z")) is None


@pytest.mark.parametrize(
    "expression",
    ["", " ", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "a b c d e", "*/0 * * * *", "@reboot", "@every 1h",
     "H * * * *", "R * * * *", "* * * * 0,r", "5-1-2 * * * *", "\u0663 * * * *", "* " * 200, "1,,2 * * * *", "- * * * *",
     "5-5 * * * *", "0 9-9/2 * * *", "0 0 * * 1,MON-1", "0 0 * * 7-0"],
)  # fmt: skip
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidTrigger) as refused:
        Cron(expression=expression)
    assert refused.value.field == "cron"


@settings(max_examples=examples(200))
@given(st.text(alphabet="0123456789*/,-?#LWlw @abcdefghjmonsutu\n\t", max_size=30))
def test_any_text_is_an_expression_or_refused(expression: str) -> None:
    try:
        cron = Cron(expression=expression)
    except InvalidTrigger:
        return
    following = cron.after(at("2026-11-20T09:00Z"))
    assert following is None or following > at("2026-11-20T09:00Z")


@pytest.mark.parametrize(
    "name", ["", "Europe", "Europe/Nowhere", "../etc/passwd", "europe/berlin", "localtime", "CEST"]
)
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidTrigger) as refused:
        Cron(expression="@daily", time_zone=name)
    assert refused.value.field == "time_zone"


@given(
    seconds=st.integers(1, LONGEST_INTERVAL_SECONDS),
    passed=st.floats(-1e6, 1e9),
    anchor=st.integers(0, 50 * 366).map(lambda days: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=days)),
)
def test_intervals_are_whole_multiples_of_their_length(seconds: int, passed: float, anchor: datetime) -> None:
    trigger = Interval(seconds=seconds, anchor=anchor)
    moment = anchor + timedelta(seconds=passed)
    following = trigger.after(moment)
    assert following is not None
    assert following > moment
    assert (following - anchor) % timedelta(seconds=seconds) == timedelta()
    assert following == anchor or following - timedelta(seconds=seconds) <= moment


@pytest.mark.parametrize("seconds", [0, -1, LONGEST_INTERVAL_SECONDS + 1])
def test_an_interval_is_neither_too_short_nor_too_long(seconds: int) -> None:
    with pytest.raises(InvalidTrigger) as refused:
        Interval(seconds=seconds, anchor=at("2026-01-01T00:00Z"))
    assert refused.value.field == "interval_seconds"


def test_the_end_of_the_calendar_is_no_error() -> None:
    trigger = Interval(seconds=LONGEST_INTERVAL_SECONDS, anchor=at("2026-01-01T00:00Z"))
    assert trigger.after(at("9999-12-01T00:00Z")) is None
    assert Cron(expression="0 0 1 1 *").after(at("9999-12-01T00:00Z")) is None
