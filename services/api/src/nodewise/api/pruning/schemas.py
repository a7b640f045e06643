"""What is asked of retention, and what it answers."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from nodewise.api.schemas import example

LEAST: Final = timedelta(hours=1)
"""Clients may still be following what ended just now, and agents still be telling of it."""
MOST: Final = timedelta(days=36_500)


class PruneRequest(BaseModel):
    """Which runs are to go. Ask again with the `cursor` of each answer until one has none."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"older_than_seconds": 2592000}}
    )

    older_than_seconds: Annotated[
        int, Field(ge=int(LEAST.total_seconds()), le=int(MOST.total_seconds()), examples=[2592000])
    ] = Field(description="Runs that ended longer ago go; at least an hour.")
    keep_failed: bool = Field(default=False, description="Runs that failed stay.")
    dry_run: bool = Field(default=False, description="Say what would go, and remove nothing.")
    cursor: Annotated[str, Field(max_length=300)] | None = Field(
        default=None, description="The next_cursor of the answer before, to the same request."
    )


class Removed(BaseModel):
    """What went in one step, or would go. Bytes are those of the artifact store."""

    runs: int = 0
    tasks: int = 0
    attempts: int = 0
    events: int = 0
    results: int = Field(default=0, description="Results that could have been reused, whose runs are gone.")
    pipelines: int = Field(default=0, description="Compiled pipelines that no run and no schedule is of.")
    log_files: int = Field(default=0, description="Logs, reports and claims of attempts.")
    artifact_files: int = 0
    directories: int = Field(default=0, description="Artifacts that were directories.")
    bytes: int = 0


class Pruned(BaseModel):
    """One step of retention."""

    model_config = example(
        before="2030-01-01T12:00:00Z",
        dry_run=False,
        removed={"runs": 100, "tasks": 300, "attempts": 310, "events": 2400, "bytes": 0},
        next_cursor="eyJzdGVwIjoicnVucyJ9",
    )

    before: datetime = Field(description="What ended before goes.")
    dry_run: bool
    removed: Removed
    next_cursor: str | None = Field(description="Send it to go on; null: all is done.")
