"""A period of the record, as people name it. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nodewise.core.errors import NodewiseError

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_A_DATE: Final = len("2026-11-20")


class InvalidPeriod(NodewiseError):
    """Two times that name no period of the past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `since` on and before `until`."""

    since: datetime
    until: datetime

    def __str__(self) -> str:
        begin = "" if self.since == _EVER else f"from {self.since:%Y-%m-%d %H:%M} "
        return f"{begin}until {self.until:%Y-%m-%d %H:%M} UTC"


def period(since: str | None, until: str | None, *, now: datetime) -> Period:
    """The period that two options name: ISO 8601, in UTC unless they say. A date as its end includes that day.

    Args:
        since: None: from the beginning.
        until: None: until now.
        now: What lies after it is the future.

    Raises:
        InvalidPeriod: A text is no time, lies in the future, or the end is not after the begin.
    """
    start = _EVER if since is None else _moment("--from", since, now)
    end = now if until is None else _moment("--to", until, now)
    if until is not None and len(until) == _A_DATE:
        end += timedelta(days=1)
    if end <= start:
        raise InvalidPeriod(f"--from {since} is not before --to {until}")
    return Period(since=start, until=end)


def _moment(option: str, given: str, now: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(given)
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidPeriod(
            f"{option} {given!r} is not a time such as 2026-11-20 or 2026-11-20T12:30"
        ) from error
    if found > now:
        raise InvalidPeriod(f"{option} {given} is in the future: only what was recorded can be told")
    return found
