"""Recurring runs: which times there are, and what is done when one has come. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from nodewise.core.model.trigger import Trigger

_INSTANT: Final = timedelta(microseconds=1)


class ScheduleReason(StrEnum):
    """What is to be told of a schedule beside its times."""

    MISSED_LEFT_OUT = "missed_left_out"
    HELD_AT_LIMIT = "held_at_limit"
    LEFT_OUT_AT_LIMIT = "left_out_at_limit"
    REFUSED = "refused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The times of a schedule: those of `trigger` from `start` to `end`, both included; None: no end."""

    trigger: Trigger
    start: datetime
    end: datetime | None = None

    def first(self) -> datetime | None:
        """The first time of all; None: there is none."""
        return self.after(self.start - _INSTANT)

    def after(self, moment: datetime) -> datetime | None:
        """The first time after `moment`; None: there is none."""
        at = self.trigger.after(max(moment, self.start - _INSTANT))
        return None if at is None or (self.end is not None and at > self.end) else at

    def upcoming(self, moment: datetime, count: int) -> tuple[datetime, ...]:
        """The next times after `moment`, at most `count`."""
        found: list[datetime] = []
        while len(found) < count and (at := self.after(found[-1] if found else moment)) is not None:
            found.append(at)
        return tuple(found)

    def latest(self, known: datetime, now: datetime) -> datetime:
        """The last time that is not after `now`.

        Args:
            known: a time that is not after `now`.
            now: the moment. O(log of what lies between both), however many times there are.
        """
        behind = now
        while (following := self.after(known)) is not None and following <= now:
            middle = known + (behind - known) / 2
            at = self.after(middle)
            if at is not None and at <= now:
                known = at
            else:
                known, behind = following, middle
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What happens with times that cannot have their run at once.

    `catchup`: each gets it later, in order; else the latest one that has come counts, and the others are left out.
    `max_concurrency`: so many runs of the schedule may be under way.
    """

    catchup: bool
    max_concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What follows from a look at a schedule.

    `tick`: the time that gets its run now; None: none does. `next_at`: the first time that is not dealt with; None: there is
    none any more. `look_at`: when to look again (None with `next_at`). `reason` and `text`: what is to be told; None: nothing.
    """

    tick: datetime | None = None
    next_at: datetime | None
    look_at: datetime | None
    reason: ScheduleReason | None = None
    text: str | None = None


def decide(
    timetable: Timetable, rules: Rules, *, next_at: datetime, active: int, now: datetime, patience: timedelta
) -> Step:
    """What to do with a schedule whose `next_at` has come.

    Args:
        timetable: of the schedule.
        rules: of the schedule.
        next_at: the first of its times that is not dealt with, at most `now`.
        active: how many of its runs have not ended.
        now: the moment.
        patience: when to look again where a time is held back.
    """
    tick = next_at if rules.catchup else timetable.latest(next_at, now)
    if active < rules.max_concurrency:
        return _made(timetable, tick, first=next_at)
    under_way = f"{active} of at most {rules.max_concurrency} runs under way"
    if rules.catchup:
        text = f"the run of {_said(tick)} waits: {under_way}"
        return Step(next_at=tick, look_at=now + patience, reason=ScheduleReason.HELD_AT_LIMIT, text=text)
    text = f"{_left_out(next_at, tick)}: {under_way}, and no catch-up"
    return _passed(timetable, tick, ScheduleReason.LEFT_OUT_AT_LIMIT, text)


def refused(timetable: Timetable, rules: Rules, *, tick: datetime, why: str, now: datetime) -> Step:
    """What to do when the submission of `tick` is refused: with catch-up it is tried again when the next time comes (or would
    come, were there no end), without it is left out. Never at once: the request is the same.
    """
    if not rules.catchup:
        return _passed(
            timetable, tick, ScheduleReason.REFUSED, f"the run of {_said(tick)} was refused: {why}"
        )
    again = timetable.trigger.after(now)
    text = f"the run of {_said(tick)} is refused, and tried again when the next one is due: {why}"
    if again is None:
        return _passed(timetable, tick, ScheduleReason.REFUSED, text)
    return Step(next_at=tick, look_at=again, reason=ScheduleReason.REFUSED, text=text)


def _made(timetable: Timetable, tick: datetime, *, first: datetime) -> Step:
    after = timetable.after(tick)
    if first < tick:
        text = f"of the times from {_said(first)} to {_said(tick)} only the last has its run: no catch-up"
        return Step(tick=tick, next_at=after, look_at=after, reason=ScheduleReason.MISSED_LEFT_OUT, text=text)
    if after is None:
        text = "no further time lies before its end"
        return Step(tick=tick, next_at=None, look_at=None, reason=ScheduleReason.ENDED, text=text)
    return Step(tick=tick, next_at=after, look_at=after)


def _passed(timetable: Timetable, tick: datetime, reason: ScheduleReason, text: str) -> Step:
    after = timetable.after(tick)
    return Step(next_at=after, look_at=after, reason=reason, text=text)


def _left_out(first: datetime, last: datetime) -> str:
    if first == last:
        return f"the run of {_said(first)} was left out"
    return f"the runs of {_said(first)} to {_said(last)} were left out"


def _said(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
