"""Figures as people read them."""

from datetime import UTC, datetime


def duration(seconds: object) -> str:
    """`0.41 s`, `12.3 s`, `3 min 05 s`, `2 h 10 min`; a dash for None."""
    if not isinstance(seconds, (int, float)):
        return "–"  # noqa: RUF001 - a dash
    if abs(seconds) < 10:
        return f"{seconds:.2f} s"
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def percent(share: object) -> str:
    """A share as a percentage; a dash for None."""
    return f"{100 * share:.0f} %" if isinstance(share, (int, float)) else "–"  # noqa: RUF001 - a dash


def moment(time: object) -> str:
    """A day and time in UTC, short enough for a column: `11-20 12:30:05`; a dash for None."""
    return f"{time.astimezone(UTC):%m-%d %H:%M:%S}" if isinstance(time, datetime) else "–"  # noqa: RUF001 - a dash


def day_and_moment(time: object) -> str:
    """A date and time in UTC; a dash for None."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if isinstance(time, datetime) else "–"  # noqa: RUF001 - a dash


def mebibytes(amount: object) -> str:
    """`310 MiB`; a dash for None."""
    return f"{amount:.0f} MiB" if isinstance(amount, (int, float)) else "–"  # noqa: RUF001 - a dash


def within(low: object, high: object) -> str:
    """A range of run times: `1.20 s to 2.10 s`; a dash where it is not known."""
    if low is None or high is None:
        return "–"  # noqa: RUF001 - a dash
    return f"{duration(low)} to {duration(high)}"
