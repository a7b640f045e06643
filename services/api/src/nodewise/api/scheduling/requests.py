"""What clients send about recurring runs."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from nodewise.api.examples import PARAMETERS, PIPELINE
from nodewise.api.requests import SubmitRequest, in_this_century, read_body, rfc3339_text
from nodewise.core.model.trigger import LONGEST_INTERVAL_SECONDS

MOST_AT_ONCE = 1000
_Time = Annotated[
    AwareDatetime, BeforeValidator(rfc3339_text), AfterValidator(in_this_century), Field(strict=False)
]


class ScheduleRequest(BaseModel):
    """A submission, and when it recurs: `cron` or `interval_seconds`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "name": "nightly",
                "cron": "30 2 * * *",
                "time_zone": "Europe/Berlin",
                "catchup": False,
                "run": {
                    "pipeline_spec": PIPELINE,
                    "parameters": PARAMETERS,
                },
            }
        },
    )

    run: SubmitRequest = Field(
        description="What is submitted each time. `deadline` cannot be set: let the pipeline say it, in seconds."
    )
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Unique among the team's schedules. Default: the pipeline's name."
    )
    cron: str | None = Field(
        default=None,
        description="5 fields (minute, hour, day, month, weekday), 6 with seconds in front (KFP's form), or @daily and the like.",
    )
    time_zone: str | None = Field(default=None, description="Of `cron`, such as Europe/Berlin. Default: UTC.")
    interval_seconds: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_INTERVAL_SECONDS,
        description="From start_at on; without it, the first run comes one interval after the creation.",
    )
    start_at: _Time | None = Field(
        default=None, description="No run before. In the past: with catch-up, all since then. Default: now."
    )
    end_at: _Time | None = Field(default=None, description="No run after. Default: no end.")
    catchup: bool = Field(
        default=True,
        description="Whether each time that was missed, or held back by max_concurrency, gets its run later, in order. "
        "False: only the latest does.",
    )
    max_concurrency: int = Field(
        default=1, ge=1, le=MOST_AT_ONCE, description="So many of its runs may be under way at once."
    )
    enabled: bool = True


def schedule_request(body: Mapping[str, object]) -> ScheduleRequest:
    """The body of `POST /v1/schedules`.

    Raises:
        Problem: 422 with every field that breaks a rule.
    """
    return read_body(ScheduleRequest, body)


class ScheduleQuery(BaseModel):
    """Which page of which schedules."""

    model_config = ConfigDict(extra="forbid")

    team: str | None = Field(default=None, max_length=100)
    name: str | None = Field(default=None, max_length=200)
    enabled: bool | None = None
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(
        default=None, max_length=300, description="The next_cursor of the page before."
    )
