from datetime import UTC, datetime, timedelta

import pytest

from nodewise.recorder.period import InvalidPeriod, period

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_a_period_begins_and_ends_as_named() -> None:
    found = period("2026-11-18", "2026-11-19T10:30", now=NOW)
    assert found.since == datetime(2026, 11, 18, tzinfo=UTC)
    assert found.until == datetime(2026, 11, 19, 10, 30, tzinfo=UTC)


def test_a_date_as_the_end_includes_its_day() -> None:
    found = period("2026-11-18", "2026-11-18", now=NOW)
    assert found.until - found.since == timedelta(days=1)


def test_a_zone_counts() -> None:
    assert period("2026-11-18T02:00+02:00", None, now=NOW).since == datetime(2026, 11, 18, tzinfo=UTC)


def test_nothing_named_is_all_until_now() -> None:
    found = period(None, None, now=NOW)
    assert found.until == NOW
    assert str(found) == "until 2026-11-20 12:00 UTC"


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("tomorrow", None, "--from 'tomorrow' is not a time"),
        ("2026-11-18", "soon", "--to 'soon' is not a time"),
        ("0001-01-01T00:00+14:00", None, "is not a time"),
        ("2026-11-21", None, "--from 2026-11-21 is in the future"),
        (None, "2027-01-01", "--to 2027-01-01 is in the future"),
        ("2026-11-19", "2026-11-18", "--from 2026-11-19 is not before --to 2026-11-18"),
        ("2026-11-19T10:00", "2026-11-19T10:00", "is not before"),
    ],
)
def test_what_names_no_period_of_the_past_is_refused_in_one_line(
    since: str | None, until: str | None, message: str
) -> None:
    with pytest.raises(InvalidPeriod, match=message) as raised:
        period(since, until, now=NOW)
    assert "\n" not in str(raised.value)
