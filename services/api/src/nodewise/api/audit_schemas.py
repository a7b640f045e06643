"""What the API answers about its own record."""

from datetime import datetime

from pydantic import BaseModel, Field

from nodewise.api.schemas import RUN_ID, example
from nodewise.core.audit import Check


class FindingBody(BaseModel):
    """Something that does not hold; what it is not about is null. `since` and `until` are the instants that contradict."""

    check: Check
    text: str
    run_id: str | None
    path: str | None
    attempt: int | None
    node: str | None
    since: datetime | None
    until: datetime | None


class AuditPage(BaseModel):
    """How much of the record was looked at, and what does not hold of it: nothing should be."""

    model_config = example(
        since="2030-01-30T12:00:00Z",
        runs=200,
        tasks=1140,
        attempts=1152,
        events=7980,
        bookings=1152,
        nodes=4,
        findings_total=1,
        findings=[
            {
                "check": "counted_once",
                "text": "2 of its attempts succeeded",
                "run_id": RUN_ID,
                "path": "train",
                "attempt": 2,
                "node": "n3",
                "since": "2030-01-30T13:00:00Z",
                "until": None,
            }
        ],
        next_cursor=None,
    )

    since: datetime
    runs: int
    tasks: int
    attempts: int
    events: int
    bookings: int = Field(description="Of all nodes; looked at on the first page only, as the nodes are.")
    nodes: int
    findings_total: int
    findings: list[FindingBody] = Field(description="The first 500 of the page.")
    next_cursor: str | None
