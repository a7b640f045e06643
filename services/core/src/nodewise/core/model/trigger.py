"""When something recurs: a cron expression in a time zone, or an interval. Pure, but for the time zone database.

Where clocks are changed, each cron has rules of its own. Ours: if the hour field leaves no hour out (`*`), the times follow
real time: what the clock skips is left out, what it shows twice happens twice. Otherwise a time is meant once a day: what
the clock skips happens at the first instant after the gap (once, however many times were in it), and of what it shows twice
the first counts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterBadDateError, CroniterError, croniter

from nodewise.core.errors import InvalidTrigger

_LONGEST: Final = 200
_FIELDS: Final = 5
_FIELDS_WITH_SECONDS: Final = 6
_HOURS: Final = 24
_SECOND: Final = timedelta(seconds=1)
_LONGEST_WAIT_YEARS: Final = 50
"""So far ahead croniter looks; where the calendar ends before that, it raises ValueError."""
_RANGE: Final = re.compile(r"([^-/]+)-([^-/]+)")
_CHANCE: Final = frozenset("hr")
"""With these a field begins that croniter draws by lot; our times must be the same whenever they are asked for."""

LONGEST_INTERVAL_SECONDS: Final = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Five fields (minute, hour, day of month, month, day of week), six with the seconds in front (KFP's form), or an alias
    such as `@daily`. Days of month and of week are united where both are restricted, as in every cron.

    Raises:
        InvalidTrigger: The expression or the zone is none; carries the field.
    """

    expression: str
    time_zone: str = "UTC"
    _every_hour: bool = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.time_zone not in _zone_names():
            raise InvalidTrigger(
                "time_zone",
                f"no time zone is named {self.time_zone[:100]!r}; try one such as 'Europe/Berlin'",
            )
        hours = _expanded(self.expression)[1]
        object.__setattr__(self, "_zone", ZoneInfo(self.time_zone))
        object.__setattr__(self, "_every_hour", hours == ["*"] or len(hours) == _HOURS)

    def after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`, in UTC; None where none comes (30 February)."""
        try:
            return self._in_real_time(moment) if self._every_hour else self._once_a_day(moment)
        except (CroniterBadDateError, OverflowError):
            return None
        except ValueError:
            if moment.year < MAXYEAR - _LONGEST_WAIT_YEARS:
                raise
            return None

    def _once_a_day(self, moment: datetime) -> datetime:
        # The first instant at which the clock shows a time, or a later one, grows with that time.
        return next(at for at in map(self._first_instant, self._matches(self._clock(moment))) if at > moment)

    def _in_real_time(self, moment: datetime) -> datetime:
        clock = self._clock(moment)
        ahead = self._first_after(moment, clock)
        overlap = self._overlap(clock)
        # The clock may be set back before it shows anything new: then it shows some of what it has shown once more.
        return ahead if overlap <= timedelta() else min(ahead, self._first_after(moment, clock - overlap))

    def _first_after(self, moment: datetime, clock: datetime) -> datetime:
        return next(at for match in self._matches(clock) for at in self._instants(match) if at > moment)

    def _matches(self, clock: datetime) -> Iterator[datetime]:
        """What the clock shows (without a zone) when it matches, after `clock`."""
        with_seconds = len(self.expression.split()) == _FIELDS_WITH_SECONDS
        walk = croniter(self.expression, clock, ret_type=datetime, second_at_beginning=with_seconds)
        while True:
            yield walk.get_next()

    def _clock(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _at(self, clock: datetime, fold: int) -> datetime:
        return clock.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)

    def _overlap(self, clock: datetime) -> timedelta:
        """How far apart are the two instants at which the clock shows this; below zero: it never does."""
        return self._at(clock, 1) - self._at(clock, 0)

    def _instants(self, clock: datetime) -> tuple[datetime, ...]:
        """When the clock shows this: never, once or twice."""
        first, second = self._at(clock, 0), self._at(clock, 1)
        if second < first:
            return ()
        return (first,) if first == second else (first, second)

    def _first_instant(self, clock: datetime) -> datetime:
        """When the clock first shows this, or something later where it skips this."""
        instants = self._instants(clock)
        return instants[0] if instants else self._end_of_gap(clock)

    def _end_of_gap(self, clock: datetime) -> datetime:
        # Read with the offset after the gap it lies before it, and the other way round.
        before, after = self._at(clock, 1), self._at(clock, 0)
        while after - before > _SECOND:
            middle = before + (after - before) // 2
            middle = middle.replace(microsecond=0)
            before, after = (before, middle) if self._clock(middle) >= clock else (middle, after)
        return after


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every so many seconds of real time, beginning with `anchor`.

    Raises:
        InvalidTrigger: It is too short or too long.
    """

    seconds: int
    anchor: datetime

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= LONGEST_INTERVAL_SECONDS:
            raise InvalidTrigger(
                "interval_seconds", f"must be 1 to {LONGEST_INTERVAL_SECONDS}, got {self.seconds}"
            )

    def after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`; None at the end of the calendar."""
        if moment < self.anchor:
            return self.anchor
        step = timedelta(seconds=self.seconds)
        try:
            return self.anchor + ((moment - self.anchor) // step + 1) * step
        except OverflowError:
            return None


Trigger: TypeAlias = Cron | Interval


@cache
def _zone_names() -> frozenset[str]:
    # What "localtime" means differs from machine to machine.
    return frozenset(available_timezones() - {"localtime"})


def _expanded(expression: str) -> list[list[int | str]]:
    """The values of each field: minute, hour, day of month, month, day of week, and seconds where there are six."""
    fields = expression.split()
    if not expression.isascii() or len(expression) > _LONGEST:
        raise InvalidTrigger("cron", f"must be at most {_LONGEST} ASCII characters")
    is_alias = len(fields) == 1 and expression.startswith("@")
    if not is_alias and len(fields) not in (_FIELDS, _FIELDS_WITH_SECONDS):
        rule = "must have 5 fields (minute, hour, day, month, weekday), or 6 with seconds in front"
        raise InvalidTrigger("cron", f"{rule}; {expression!r} has {len(fields)}")
    if any(part[0].lower() in _CHANCE for one in fields for part in one.split(",") if part):
        raise InvalidTrigger("cron", f"{expression!r} leaves times to chance (H, R); name them")
    for number, one in enumerate(fields):
        for part in filter(_RANGE.match, one.split(",")):
            _check_range(fields, number, part)
    return _values(fields)


def _check_range(fields: Sequence[str], number: int, part: str) -> None:
    """Refuse what begins where it ends: croniter takes it for the whole circle, everybody else for one value."""
    ends = _RANGE.match(part)
    first, last = (
        (_values([*fields[:number], end, *fields[number + 1 :]]) for end in ends.groups()) if ends else (0, 1)
    )
    if first == last:
        raise InvalidTrigger("cron", f"{part!r} is a range that ends where it begins; write the value alone")


def _values(fields: Sequence[str]) -> list[list[int | str]]:
    expression = " ".join(fields)
    try:
        expanded: tuple[list[list[int | str]], object] = croniter.expand(
            expression, second_at_beginning=len(fields) == _FIELDS_WITH_SECONDS
        )
    except (CroniterError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InvalidTrigger("cron", f"{expression!r} is no cron expression: {error}") from error
    return expanded[0]
