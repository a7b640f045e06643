"""Recurring runs: making them, finding them, and a handle on each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, cast
from urllib.parse import quote

from nodewise.sdk.client.paging import every_item
from nodewise.sdk.client.run import Run
from nodewise.sdk.client.submission import body_of
from nodewise.sdk.client.transport import Request, Transport
from nodewise.sdk.dsl.options import seconds_of
from nodewise.sdk.models import Json, RunInfo

if TYPE_CHECKING:
    from nodewise.sdk.client.http import Client

_PATH = "/v1/schedules"


class ScheduleInfo(TypedDict, total=False):
    """`GET /v1/schedules/{id}`. Times are RFC 3339 text in UTC; `upcoming` is there of a single one only."""

    id: str
    name: str
    team: str
    pipeline: str
    cron: str | None
    time_zone: str | None
    interval_seconds: int | None
    start_at: str
    end_at: str | None
    catchup: bool
    max_concurrency: int
    enabled: bool
    run: Json
    next_at: str | None
    last_at: str | None
    active_runs: int
    reason_code: str | None
    reason: str | None
    last_error: str | None
    last_error_at: str | None
    refusals: int
    created_at: str
    upcoming: list[str]


class Schedule:
    """What the API said last about a recurring run, and what can be done with it. `refresh()` asks again."""

    def __init__(self, client: Client, info: ScheduleInfo) -> None:
        self._client = client
        self.info = info

    def __repr__(self) -> str:
        return f"Schedule({self.id!r}, name={self.name!r}, enabled={self.enabled!r})"

    @property
    def id(self) -> str:
        return self.info["id"]

    @property
    def name(self) -> str:
        return self.info["name"]

    @property
    def enabled(self) -> bool:
        """As last seen."""
        return self.info["enabled"]

    def refresh(self) -> Schedule:
        """Ask again, and return this handle."""
        self.info = self._client.get_schedule(self.id).info
        return self

    def enable(self) -> Schedule:
        """Let it go on; what it missed meanwhile is caught up with, or not, as it was told at its creation."""
        self.info = self._client.switch_schedule(self.id, enabled=True)
        return self

    def disable(self) -> Schedule:
        """Make no more runs until it is enabled again; those under way go on."""
        self.info = self._client.switch_schedule(self.id, enabled=False)
        return self

    def delete(self) -> None:
        """Forget it. Its runs go on, and stay."""
        self._client.delete_schedule(self.id)

    def run(self, *, idempotency_key: str | None = None) -> Run:
        """Submit it once more, now, whatever its times and its limit are."""
        return self._client.run_schedule(self.id, idempotency_key=idempotency_key)

    def runs(self, *, state: str | None = None, limit: int | None = None) -> Iterator[Run]:
        """Its runs, newest first."""
        return self._client.runs(schedule=self.id, state=state, limit=limit)


class Scheduling:
    """The part of `Client` that is about recurring runs."""

    _transport: Transport

    def schedule(  # noqa: PLR0913 (what a schedule can say; all but the target by name)
        self,
        target: object,
        /,
        *,
        name: str | None = None,
        cron: str | None = None,
        time_zone: str | None = None,
        every: timedelta | float | str | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        catchup: bool = True,
        max_concurrency: int = 1,
        enabled: bool = True,
        parameters: Mapping[str, Any] | None = None,
        policy: str | None = None,
        strategy: str | None = None,
        priority: int | None = None,
        team: str | None = None,
        labels: Mapping[str, str] | None = None,
        cache: bool | None = None,
        engine: str | None = None,
        idempotency_key: str | None = None,
        **params: Any,
    ) -> Schedule:
        """Submit a pipeline again and again: give `cron` or `every`.

        Args:
            target: As `submit` takes it.
            name: Of the schedule, unique in its team; by default the pipeline's.
            cron: 5 fields (minute, hour, day, month, weekday), 6 with seconds in front (KFP's form), or `@daily` and the like.
            time_zone: Of `cron`, such as `Europe/Berlin`; by default UTC.
            every: An interval: seconds, a timedelta, or text such as `90m`. It begins with `start`, else one interval from now.
            start: No run before: a time with its zone, or RFC 3339. May lie in the past.
            end: No run after.
            catchup: Whether each time that was missed or held back gets its run later, or only the latest.
            max_concurrency: So many of its runs may be under way at once.
            enabled: False: it waits until it is enabled.
            parameters: Values for the pipeline's parameters; may also be given as keyword arguments.
            policy: As `submit` takes it, like the following.
            strategy: How nodes are chosen, or a preset.
            priority: Higher goes first under the policy `priority`.
            team: On whose account.
            labels: Free text to find its runs by.
            cache: False: every task runs, whatever earlier results there are.
            engine: What runs its tasks; by default the stack's.
            idempotency_key: Asking twice with the same key makes one schedule; by default a fresh one.
            params: More parameters, by name; one whose name is taken above goes into `parameters`.

        Raises:
            ApiError: The API refused it; says the field and the rule.
            NotReachable: No answer. Asking again with the same key is safe.
            InvalidPipeline: The file or function is not a pipeline.
            ValueError: A time or the interval is none.
        """
        submission = body_of(
            target, {**(parameters or {}), **params}, deadline=None, policy=policy, strategy=strategy, priority=priority,
            team=team, labels=dict(labels or {}), cache=cache, engine=engine,
        )  # fmt: skip
        body = {
            "run": {key: value for key, value in submission.items() if value is not None},
            "name": name,
            "cron": cron,
            "time_zone": time_zone,
            "interval_seconds": None if every is None else whole_seconds(every),
            "start_at": moment_text(start),
            "end_at": moment_text(end),
            "catchup": catchup,
            "max_concurrency": max_concurrency,
            "enabled": enabled,
        }
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self._handle(self._ask("POST", _PATH, json=body, headers=headers))

    def schedules(
        self,
        *,
        team: str | None = None,
        name: str | None = None,
        enabled: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[Schedule]:
        """Schedules, newest first, page by page as you iterate; at most `limit`."""
        params = {"team": team, "name": name, "enabled": None if enabled is None else str(enabled).lower()}
        for info in every_item(self._ask, _PATH, params, limit=limit):
            yield self._handle(info)

    def get_schedule(self, schedule_id: str) -> Schedule:
        """The schedule of that id.

        Raises:
            ApiError: 404, there is none.
        """
        return self._handle(self._ask("GET", _schedule(schedule_id)))

    def switch_schedule(self, schedule_id: str, *, enabled: bool) -> ScheduleInfo:
        """Enable or disable it."""
        action = "enable" if enabled else "disable"
        return cast("ScheduleInfo", self._ask("POST", f"{_schedule(schedule_id)}/{action}"))

    def delete_schedule(self, schedule_id: str) -> None:
        """Forget it; its runs go on, and stay. A try that was answered by nobody may have worked: then there is a 404."""
        self._transport.send(Request(method="DELETE", path=_schedule(schedule_id)))

    def run_schedule(self, schedule_id: str, *, idempotency_key: str | None = None) -> Run:
        """Submit it once more, now."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        info = self._ask("POST", f"{_schedule(schedule_id)}/run", headers=headers)
        return Run(cast("Client", self), cast("RunInfo", info))

    def _handle(self, info: Json) -> Schedule:
        return Schedule(cast("Client", self), cast("ScheduleInfo", info))

    def _ask(self, method: str, path: str, **more: Any) -> Json:
        return cast("Json", self._transport.send(Request(method=method, path=path, **more)).json())


def whole_seconds(every: timedelta | float | str) -> int:
    """An interval in seconds.

    Raises:
        ValueError: It is none, or no whole number of seconds.
    """
    seconds = seconds_of(every)
    if seconds != int(seconds):
        raise ValueError(f"an interval is a whole number of seconds, not {every!r}")
    return int(seconds)


def moment_text(moment: datetime | str | None) -> str | None:
    """RFC 3339 in UTC.

    Raises:
        ValueError: The text is no time, or the time has no zone.
    """
    if moment is None:
        return None
    try:
        when = datetime.fromisoformat(moment.strip()) if isinstance(moment, str) else moment
    except ValueError as error:
        raise ValueError(f"{moment!r} is no time: write it as 2026-11-30T18:00Z") from error
    if when.tzinfo is None:
        raise ValueError(f"the time {moment!s} needs a time zone, for example {moment!s}Z")
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _schedule(schedule_id: str) -> str:
    return f"{_PATH}/{quote(schedule_id, safe='')}"
