"""What the API answers about recurring runs. The examples stand in the OpenAPI document."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from nodewise.api.schemas import example
from nodewise.core.model.schedule import ScheduleReason


class Schedule(BaseModel):
    model_config = example(
        id="6d4b1f1a-2f0e-4d0a-8b1b-0f4ad3f3f2d1",
        name="nightly",
        team="default",
        pipeline="wine",
        cron="30 2 * * *",
        time_zone="Europe/Berlin",
        interval_seconds=None,
        start_at="2030-01-31T12:00:00Z",
        end_at=None,
        catchup=False,
        max_concurrency=1,
        enabled=True,
        run={"parameters": {"samples": 1000}},
        next_at="2030-02-01T01:30:00Z",
        last_at=None,
        active_runs=0,
        reason_code=None,
        reason=None,
        last_error=None,
        last_error_at=None,
        refusals=0,
        created_at="2030-01-31T12:00:00Z",
    )

    id: str
    name: str
    team: str
    pipeline: str
    cron: str | None
    time_zone: str | None
    interval_seconds: int | None
    start_at: datetime
    end_at: datetime | None
    catchup: bool
    max_concurrency: int
    enabled: bool
    run: dict[str, Any] = Field(description="What is submitted each time, without the pipeline itself.")
    next_at: datetime | None = Field(
        description="The first time that has neither got its run nor been left out; null: there is none any more."
    )
    last_at: datetime | None = Field(description="The latest time that got its run.")
    active_runs: int = Field(description="How many of its runs have not ended.")
    reason_code: ScheduleReason | None
    reason: str | None = Field(description="What became of the latest time, if there is anything to tell.")
    last_error: str | None = Field(description="Why a run of it was refused last.")
    last_error_at: datetime | None
    refusals: int = Field(description="How often that happened since its latest run.")
    created_at: datetime


class ScheduleDetail(Schedule):
    upcoming: list[datetime] = Field(description="The next times, five at most, from `next_at` on.")


class SchedulePage(BaseModel):
    items: list[Schedule]
    next_cursor: str | None = Field(description="Hand it back as `cursor` for the next page; null: the last.")
