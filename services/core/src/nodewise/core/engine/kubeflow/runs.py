"""Runs as KFP's JSON tells of them. Pure and tolerant: what is absent is unknown, what is new is passed over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from nodewise.core.lifecycle import RunEvent


class KfpState(StrEnum):
    UNKNOWN = "RUNTIME_STATE_UNSPECIFIED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    PAUSED = "PAUSED"


LIVE_STATES: Final = (
    KfpState.PENDING,
    KfpState.RUNNING,
    KfpState.CANCELING,
    KfpState.PAUSED,
    KfpState.UNKNOWN,
)
FINAL_STATES: Final = frozenset(KfpState) - frozenset(LIVE_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class KfpRun:
    """One run. `task_details` are KFP's own, which cannot tell tasks apart (see `tasks.from_details`)."""

    run_id: str
    name: str = ""
    state: KfpState = KfpState.UNKNOWN
    archived: bool = False
    created_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    task_details: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def digest(self) -> int:
        """Differs when anything differs that v2beta1 shows: whoever is unchanged need not be read in detail.

        It holds within one process only. That a pod cannot be scheduled does not show here.
        """
        tasks = sorted((str(one.get("task_id")), str(one.get("state"))) for one in self.task_details)
        return hash((self.state, tuple(tasks)))

    @property
    def has_pending_tasks(self) -> bool:
        return any(one.get("state", "PENDING") == "PENDING" for one in self.task_details)


def read_run(message: Mapping[str, Any]) -> KfpRun:
    """A run of v2beta1."""
    error, details = message.get("error"), message.get("run_details")
    tasks = details.get("task_details") if isinstance(details, dict) else None
    return KfpRun(
        run_id=str(message.get("run_id", "")),
        name=str(message.get("display_name", "")),
        state=read_state(message.get("state")),
        archived=message.get("storage_state") == "ARCHIVED",
        created_at=read_time(message.get("created_at")),
        finished_at=read_time(message.get("finished_at")),
        error=str(error["message"]) if isinstance(error, dict) and error.get("message") else None,
        task_details=tuple(one for one in tasks if isinstance(one, dict)) if isinstance(tasks, list) else (),
    )


def read_state(text: object) -> KfpState:
    """A state; UNKNOWN for none (KFP leaves out what is zero) and for one that we do not know."""
    try:
        return KfpState(str(text))
    except ValueError:
        return KfpState.UNKNOWN


def read_time(text: object) -> datetime | None:
    """A moment; None for none and for the epoch, which is how KFP writes "not yet"."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if moment.timestamp() > 0 else None


def run_event(run: KfpRun, *, cancel_requested: bool) -> RunEvent | None:
    """What became of a run of ours, as an event of its life; None: nothing that is certain.

    KFP ends a terminated run as FAILED, so only we know that it was cancelled.
    """
    if run.state is KfpState.FAILED:
        return RunEvent.CANCEL if cancel_requested else RunEvent.FAIL
    return _EVENTS.get(run.state)


_EVENTS: Final[Mapping[KfpState, RunEvent]] = {
    KfpState.RUNNING: RunEvent.START,
    KfpState.SUCCEEDED: RunEvent.SUCCEED,
    KfpState.SKIPPED: RunEvent.SUCCEED,
    KfpState.CANCELED: RunEvent.CANCEL,
}
